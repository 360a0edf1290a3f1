"""How well a straight line through what a layer sees tells the user's classes apart, layer by layer."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from convolve.errors import UserError, shown
from convolve.progress import Progress, silent
from convolve.randomness import seed_of
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.layers import MapLayer
from convolve.see.inside.subject import Subject
from convolve.see.inside.unit_maps import maps_of, multiply_adds, not_finite, stage_ends

FOLDS = 5
_AT_ONCE = 16
# Less than 20 seconds of two slow processors; so few images still tell layers apart.
_AFFORDABLE, _FEW = 100e9, 200
# Strong enough a penalty that hundreds of units do not fit a few dozen images by heart, and the solver ends soon.
_INVERSE_PENALTY, _STEPS, _TOLERANCE = 0.1, 1000, 1e-2


@dataclass(frozen=True)
class Probe:
    """What a linear classifier reads off the means of one layer's maps.

    Attributes:
        layer: which.
        accuracies: of each fold, in [0, 1], on images that it was not fitted to.
    """

    layer: MapLayer
    accuracies: tuple[float, ...]

    @property
    def accuracy(self) -> float:
        """Mean over the folds."""
        return float(np.mean(self.accuracies))

    @property
    def spread(self) -> float:
        """Standard error of that mean, as if the folds were independent, which they are not quite."""
        return float(np.std(self.accuracies, ddof=1) / np.sqrt(len(self.accuracies)))


@dataclass(frozen=True)
class Probes:
    """One probe for each resolution, from fine to coarse.

    Attributes:
        probes: the last layer of each.
        images: how many took part.
        classes: theirs.
        left_out: classes with fewer images than folds.
        by_chance: the share of the most frequent class, which an answer without looking reaches.
    """

    probes: tuple[Probe, ...]
    images: int
    classes: tuple[str, ...]
    left_out: tuple[str, ...]
    by_chance: float


def affordable_images(subject: Subject, at_most: int) -> int:
    """How many images to probe with: fewer for a large network, so that nobody waits for minutes."""
    return min(at_most, max(_FEW, int(_AFFORDABLE / max(multiply_adds(subject), 1))))


def probe_layers(
    subject: Subject, gallery: Gallery, *, rows: Sequence[int], seed: int, progress: Progress = silent
) -> Probes:
    """Cross-validated accuracy of a logistic regression on the means of the last maps of each resolution.

    Args:
        subject: with maps.
        gallery: with truths.
        rows: of the gallery.
        seed: of the folds.
        progress: told of every batch of images, then of every layer.

    Raises:
        UserError: no maps; or fewer than two classes have five images; or a layer's numbers are none.

    Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes", 2016.
    """
    layers = stage_ends(subject)
    counts = Counter(gallery.truth(row) for row in rows if gallery.truth(row))
    classes = tuple(sorted(name for name, count in counts.items() if count >= FOLDS))
    left_out = tuple(sorted(set(counts) - set(classes)))
    if len(classes) < 2:
        raise UserError(
            f"probing layers needs two classes of at least {FOLDS} images each; so many: {shown(classes) or 'none'}",
            "Give a folder of images whose classes are known.",
        )
    chosen = [row for row in rows if gallery.truth(row) in classes]
    truths = np.array([gallery.truth(row) for row in chosen])
    means = _means(subject, gallery, layers, chosen, progress)
    probes = []
    for number, layer in enumerate(layers):
        probes.append(Probe(layer, _accuracies(means[layer.name], truths, seed)))
        progress("probing layers", number + 1, len(layers))
    by_chance = max(counts[name] for name in classes) / len(chosen)
    return Probes(tuple(probes), len(chosen), classes, left_out, by_chance)


def _means(
    subject: Subject, gallery: Gallery, layers: Sequence[MapLayer], rows: Sequence[int], progress: Progress
) -> Mapping[str, NDArray[np.float32]]:
    """(N, C') of each layer."""
    found: dict[str, list[NDArray[np.float32]]] = {layer.name: [] for layer in layers}
    done = 0
    for some, images in gallery.batches(_AT_ONCE, rows):
        for name, maps in maps_of(subject, images, list(found)).items():
            means = maps.mean(dim=(2, 3)).cpu()
            if not bool(means.isfinite().all()):
                raise not_finite(name)
            found[name].append(means.numpy())
        done += len(some)
        progress("reading layers", done, len(rows))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _accuracies(means: NDArray[np.float32], truths: NDArray[np.str_], seed: int) -> tuple[float, ...]:
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=_INVERSE_PENALTY, max_iter=_STEPS, tol=_TOLERANCE))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed_of(seed, "separability") % 2**32)
    return tuple(float(score) for score in cross_val_score(probe, means.astype(np.float64), truths, cv=folds))
