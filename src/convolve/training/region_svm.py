"""R-CNN's support vector machines on the features of regions, one for each class, with hard negatives.

Girshick, Donahue, Darrell and Malik, "Rich Feature Hierarchies ...", CVPR 2014, 2.3 and appendix B, with the numbers of
their code. They gained 3 to 4 points of mAP over R-CNN's softmax, and nothing over Fast R-CNN's (Girshick, ICCV 2015,
5.4). The paper's ridge regression of boxes is left out: the network's own offsets are kept.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from torch import Tensor

from convolve.data.boxes.targets import CLASS, KIND, OBJECT, present
from convolve.errors import UserError
from convolve.networks.detection.matching import match
from convolve.networks.detection.two_stage import TwoStageDetector, portions
from convolve.progress import Progress, silent

FeaturesOf: TypeAlias = Callable[[int, Tensor], Tensor]
"""`features(i, boxes)`: (R, F) features of regions (R, 4) of image i."""

_Numbers: TypeAlias = NDArray[np.float64]

_COST, _POSITIVE_WEIGHT, _INTERCEPT_SCALE = 1e-3, 2.0, 10.0
_NORM = 20.0
# The paper's code looks at 200 images, which with R-CNN takes hours here.
_IMAGES_FOR_NORM = 10
_NEGATIVE_BELOW = 0.3
# No region overlaps an object by more than this: nothing but the objects themselves is positive.
_NEVER = 2.0
_HARD_ABOVE, _EASY_BELOW = -1.0001, -1.2
_NEW_BEFORE_REFIT = 2000
_STEPS = 20_000
# Logit of the probability of a class without objects: nothing is ever found to be of it.
_IMPOSSIBLE = -30.0


@dataclass(frozen=True)
class RegionSvms:
    """One linear machine for each class against all else.

    Attributes:
        weight: (K, F) float32, of features as the network gives them; `features @ weight.T + bias` are margins.
        bias: (K,) float32. A class without objects has the margin -1 everywhere.
        slope: (K,) float32: the probability of a class is the logistic function of slope * margin + intercept (Platt,
            1999), fitted to the objects and the hard negatives that the machine was fitted to.
        intercept: (K,) float32.
        negatives: (K) how many negatives each machine was last fitted to.
    """

    weight: Tensor
    bias: Tensor
    slope: Tensor
    intercept: Tensor
    negatives: tuple[int, ...]


def fit_region_svms(
    features: FeaturesOf,
    regions: Sequence[Tensor],
    targets: Sequence[Tensor],
    *,
    classes: int,
    progress: Progress = silent,
) -> RegionSvms:
    """Fit the machines in one pass over the images.

    Positive are the objects of a class alone, not regions near them; negative are regions, and objects of other
    classes, whose overlap with every object of the class is below 0.3. All negatives of the first image are taken, and
    of every other those that the machine does not put well on the negative side; after 2,000 new ones it is fitted
    anew, and forgets those that it finds easy. Difficult objects and crowds count as nothing.

    Args:
        features: of the network, which is not trained meanwhile.
        regions: (R, 4) proposals of each image.
        targets: (M, 6) rows of each image (`data.boxes.targets`).
        classes: K.
        progress: told "hard negatives" after every image.

    Raises:
        UserError: there is no object in any image.
    """
    objects = [_objects(rows) for rows in targets]
    if not any(len(rows) for rows in objects):
        raise UserError("support vector machines of regions: no training image has an object")
    scale = _NORM / _mean_norm(features, regions, objects)
    shown = [_numbers(features(row, own[:, :4])) * scale for row, own in enumerate(objects) if len(own)]
    positives, labels = np.concatenate(shown), torch.cat(objects)[:, CLASS].numpy()
    machines = [_Machine(positives[labels == index]) for index in range(classes)]
    for row, (proposed, own, rows) in enumerate(zip(regions, objects, targets, strict=True)):
        boxes = torch.cat((proposed.to(own), own[:, :4]))
        if len(boxes):
            seen = _numbers(features(row, boxes)) * scale
            for index, machine in enumerate(machines):
                machine.look(seen[_negative(boxes, rows, index)])
        progress("hard negatives", row + 1, len(regions))
    for machine in machines:
        machine.finish()
    return _together(machines, scale)


def region_features(detector: TwoStageDetector, images: Tensor, boxes: Tensor) -> Tensor:
    """(R, F) float32: what the detector's last layers see of regions (R, 4) of one normalised image (1, C, H, W)."""
    was_training = detector.training
    detector.eval()
    try:
        with torch.inference_mode():
            maps = detector.proposals.shared(detector.dense(images))
            hw = images.shape[2], images.shape[3]
            parts = portions([boxes], detector.portion)
            return torch.cat([detector.region_head.body(detector.features(maps, hw, part)) for part in parts]).float()
    finally:
        detector.train(was_training)


def install_svms(detector: TwoStageDetector, svms: RegionSvms) -> None:
    """Let the machines instead of the softmax say how probable the classes of a region are; boxes stay as they are."""
    classifier = detector.region_head.classifier
    with torch.no_grad():
        classifier.weight.zero_()
        classifier.bias.zero_()
        # Steep slopes times wide margins: rounded once only.
        slope = svms.slope.double()
        classifier.weight[1:] = (slope[:, None] * svms.weight).to(classifier.weight)
        classifier.bias[1:] = (slope * svms.bias + svms.intercept).to(classifier.bias)
    detector.classifier_scores = "svm"


class _Machine:
    """One class against all else, on scaled features."""

    def __init__(self, positives: _Numbers) -> None:
        self._positives = positives
        self._negatives = positives[:0]
        self._new = 0
        self.negatives = 0
        self.weight = np.zeros(positives.shape[1])
        self.bias = -1.0
        self._fitted = False

    def look(self, negatives: _Numbers) -> None:
        """Take of the negatives of an image those that are hard."""
        if len(self._positives) == 0:
            return
        hard = negatives[self.margins(negatives) > _HARD_ABOVE] if self._fitted else negatives
        self._negatives = np.concatenate((self._negatives, hard))
        self._new += len(hard)
        if self._new > _NEW_BEFORE_REFIT or (len(hard) and not self._fitted):
            self._fit()

    def finish(self) -> None:
        """Fit to what came since the last time."""
        if self._new:
            self._fit()

    def margins(self, features: _Numbers) -> _Numbers:
        """(R,) of (R, F)."""
        return features @ self.weight + self.bias

    def probability(self) -> tuple[float, float]:
        """Slope and intercept (`RegionSvms`)."""
        if not self._fitted:
            return 0.0, _IMPOSSIBLE
        margins = self.margins(np.concatenate((self._positives, self._negatives)))
        count, others = len(self._positives), len(self._negatives)
        # Platt's targets are not quite 1 and 0, so that the slope stays finite: each margin counts as both.
        targets = np.repeat([(count + 1) / (count + 2), 1 / (others + 2)], [count, others])
        logistic = LogisticRegression(C=np.inf, tol=1e-6, max_iter=1000)
        logistic.fit(
            np.concatenate((margins, margins))[:, None],
            np.repeat([1, 0], len(margins)),
            sample_weight=np.concatenate((targets, 1 - targets)),
        )
        return float(logistic.coef_[0, 0]), float(logistic.intercept_[0])

    def _fit(self) -> None:
        svm = LinearSVC(
            C=_COST,
            loss="hinge",
            class_weight={1: _POSITIVE_WEIGHT},
            intercept_scaling=_INTERCEPT_SCALE,
            max_iter=_STEPS,
            random_state=0,
        )
        with warnings.catch_warnings():
            # What is found after so many steps is near the optimum, and the next fit begins anew.
            warnings.simplefilter("ignore", ConvergenceWarning)
            svm.fit(
                np.concatenate((self._positives, self._negatives)),
                np.repeat([1, 0], [len(self._positives), len(self._negatives)]),
            )
        self.weight, self.bias = svm.coef_[0], float(svm.intercept_[0])
        self.negatives = len(self._negatives)
        self._fitted, self._new = True, 0
        self._negatives = self._negatives[self.margins(self._negatives) >= _EASY_BELOW]


def _objects(rows: Tensor) -> Tensor:
    return rows[rows[:, KIND] == OBJECT]


def _negative(boxes: Tensor, rows: Tensor, index: int) -> NDArray[np.bool_]:
    """(R,) which boxes show no object of a class, nor anything that counts as nothing."""
    rows = present(rows)
    relevant = rows[(rows[:, KIND] != OBJECT) | (rows[:, CLASS] == index)]
    flags: NDArray[np.bool_] = match(boxes, relevant, positive=_NEVER, negative=(0.0, _NEGATIVE_BELOW)).negative.numpy()
    return flags


def _mean_norm(features: FeaturesOf, regions: Sequence[Tensor], objects: Sequence[Tensor]) -> float:
    chosen = np.unique(np.linspace(0, len(regions) - 1, _IMAGES_FOR_NORM).astype(int))
    boxes = {row: torch.cat((regions[row].to(objects[row]), objects[row][:, :4])) for row in chosen.tolist()}
    norms = [np.linalg.norm(_numbers(features(row, some)), axis=1) for row, some in boxes.items() if len(some)]
    # Where none of these images has anything, or all features are 0, features stay as they are.
    return (float(np.concatenate(norms).mean()) if norms else 0.0) or _NORM


def _numbers(features: Tensor) -> _Numbers:
    numbers: _Numbers = features.detach().cpu().double().numpy()
    return numbers


def _together(machines: Sequence[_Machine], scale: float) -> RegionSvms:
    slope, intercept = zip(*(machine.probability() for machine in machines), strict=True)
    return RegionSvms(
        weight=torch.tensor(np.stack([machine.weight for machine in machines]) * scale, dtype=torch.float32),
        bias=torch.tensor([machine.bias for machine in machines], dtype=torch.float32),
        slope=torch.tensor(slope, dtype=torch.float32),
        intercept=torch.tensor(intercept, dtype=torch.float32),
        negatives=tuple(machine.negatives for machine in machines),
    )
