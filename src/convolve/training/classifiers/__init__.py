"""Classic classifiers on features that do not change, one file each; their settings come from cross-validation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.registry import Registry
from convolve.training.task import Task

Setting: TypeAlias = Mapping[str, float]
"""Numbers by name, as a reader of the classifier's literature knows them, for example {"C": 1, "gamma": 0.01}."""

# Where settings are in order, more flexible ones are not tried once this many in a row did worse and worse.
_PATIENCE = 2


class Classifier(Protocol):
    """One kind of classifier. Final classes fill it."""

    in_words: str
    """With its article, for a sentence: "a random forest"."""
    several_labels: bool
    """Whether it can say of an image that it shows several classes, or none."""
    in_order: bool
    """Whether its settings go from the plainest to the most flexible, so that the search may stop early."""

    def settings(self, *, images: int, features: int) -> Sequence[Setting]:
        """What to choose from, for so many training images and features each.

        Raises:
            UserError: there are more images than it is made for.
        """

    def fitter(
        self, features: Tensor, targets: Tensor, task: Task, *, exact: bool = False
    ) -> Callable[[Setting], nn.Module]:
        """How to fit a head, features (N, D) -> outputs (N, K), to these images with a setting.

        Args:
            features: (N, D) float32.
            targets: (N, ...) as the task packed them; with one label an image, at least two classes.
            task: for K, and for how much each image counts.
            exact: for the head that is kept; comparing settings makes do with fewer digits, where that is quicker.
        """


CLASSIFIERS: Registry[Classifier] = Registry("classifier", "convolve.training.classifiers")


@dataclass(frozen=True)
class Probe:
    """A fitted head, and how well it does on images it was not fitted on.

    Attributes:
        head: features (N, D) -> outputs (N, K).
        setting: the chosen one.
        temperature: fitted on `held_out`.
        held_out: (N, K) float32, every image's outputs from a head that was fitted without its fold.
        figures: the task's figures on them.
    """

    head: nn.Module
    setting: Setting
    temperature: float
    held_out: Tensor
    figures: dict[str, float]

    @property
    def setting_in_words(self) -> str:
        """For example "C 1, gamma 0.01"."""
        return ", ".join(f"{name} {value:g}" for name, value in self.setting.items())


def check_labels(name: str, targets: Tensor, folds: NDArray[np.int64]) -> None:
    """Before any work is done, see that a classifier can learn from these labels.

    Args:
        name: of the classifier.
        targets: (N,) classes, or (N, K) yes and no for several labels an image.
        folds: (N,) fold of each image.

    Raises:
        UserError: it is for one label an image and these have several, or only one class is left without some fold.
    """
    if targets.ndim > 1:
        if not CLASSIFIERS[name].several_labels:
            able = [other for other in CLASSIFIERS if CLASSIFIERS[other].several_labels]
            raise UserError(
                f"start.options.classifier='{name}' is for one label an image; these have several",
                f"Choose start.options.classifier={' or '.join(able)}.",
            )
        return
    for fold in np.unique(folds):
        if len(np.unique(targets.numpy()[folds != fold])) < 2:
            raise UserError(
                f"a classifier needs two classes in every fold; without fold {fold} of {len(np.unique(folds))}, the "
                "training images have but one",
                "Add images of the other classes, or groups that hold them: what belongs together is never divided.",
            )


def fit_classifier(
    classifier: Classifier,
    features: Tensor,
    targets: Tensor,
    folds: NDArray[np.int64],
    task: Task,
    *,
    progress: Callable[[int, int], None],
) -> Probe:
    """Fit a head with the setting that makes the held-out labels most likely.

    Likelihood is compared after temperature scaling: a setting that is merely less sure of itself gains nothing.

    Args:
        classifier: what to fit.
        features: (N, D) float32.
        targets: (N, ...) as the task packed them.
        folds: (N,) fold of each image; images that belong together share one.
        task: for the loss.
        progress: told (fits done, fits in all).

    Raises:
        UserError: there are more images than the classifier is made for.
    """
    inside = [torch.from_numpy(folds != fold) for fold in np.unique(folds)]
    settings = classifier.settings(images=min(int(part.sum()) for part in inside), features=features.shape[1])
    fitters = [classifier.fitter(features[part], targets[part], task) for part in inside]
    held_out: list[Tensor] = []
    losses: list[float] = []
    for setting in settings:
        outputs = torch.zeros(len(features), task.outputs)
        for part, fit in zip(inside, fitters, strict=True):
            head = fit(setting)
            with torch.inference_mode():
                outputs[~part] = head(features[~part]).float()
        held_out.append(outputs)
        losses.append(task.evaluate(outputs / task.fit_temperature(outputs, targets), targets)["loss"])
        progress(len(losses), len(settings) + 1)
        recent = losses[-_PATIENCE - 1 :]
        if classifier.in_order and len(recent) > _PATIENCE and recent == sorted(recent):
            break
    best = int(np.argmin(losses))
    head = classifier.fitter(features, targets, task, exact=True)(settings[best])
    progress(len(settings) + 1, len(settings) + 1)
    return Probe(
        head=head,
        setting=settings[best],
        temperature=task.fit_temperature(held_out[best], targets),
        held_out=held_out[best],
        figures=task.evaluate(held_out[best], targets),
    )


def standardisation(features: Tensor) -> tuple[Tensor, Tensor]:
    """(D,) mean and scale of features (N, D), in their dtype: (features - mean) / scale has mean 0 and variance 1.

    A feature that never changes carries nothing, and noise in its last bit must not be blown up to carry something:
    its scale is infinite.
    """
    mean, std = features.mean(dim=0), features.std(dim=0, correction=0)
    return mean, torch.where(std > 1e-6 * (1 + mean.abs()), std, torch.inf)
