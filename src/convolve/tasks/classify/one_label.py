from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from convolve.data.dataset import ClassLabel, Sample
from convolve.tasks.classify.calibration import calibration_figures
from convolve.tasks.classify.image_result import ImageResult
from convolve.tasks.classify.intervals import accuracy_interval, balanced_accuracy_interval, group_numbers
from convolve.tasks.classify.logits import float64_logits
from convolve.tasks.losses.softmax_nll import softmax_nll
from convolve.tasks.metrics.accuracy import accuracy
from convolve.tasks.metrics.balanced_accuracy import balanced_accuracy
from convolve.tasks.metrics.brier_score import brier_score
from convolve.tasks.metrics.confusion_matrix import confusion_matrix
from convolve.tasks.metrics.nll import nll
from convolve.tasks.metrics.per_class_scores import per_class_scores
from convolve.tasks.metrics.temperature import temperature as best_temperature
from convolve.tasks.metrics.top_k_accuracy import top_k_accuracy
from convolve.tasks.metrics.wilson_interval import wilson_interval


@final
class OneLabel:
    """Which one of the classes an image shows: a softmax over all of them.

    Args:
        classes: K names, in the order of the outputs.
        class_weights: (K,) how much the images of each class count in the loss, mean 1 over the training images.
        label_smoothing: share of the target spread over all classes, in [0, 1).
        score_name: the figure that chooses between epochs.
    """

    name = "classify"

    def __init__(
        self,
        classes: Sequence[str],
        *,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
        score_name: Literal["accuracy", "balanced_accuracy"] = "accuracy",
    ) -> None:
        self.classes = tuple(classes)
        self.score_name: str = score_name
        self._class_weights = class_weights
        self._label_smoothing = label_smoothing

    @property
    def outputs(self) -> int:
        """K, one logit a class."""
        return len(self.classes)

    def pack_targets(self, samples: Sequence[Sample]) -> Tensor:
        """(N,) int64 class indices.

        Raises:
            TypeError: a sample has several labels.
        """
        indices = []
        for sample in samples:
            if not isinstance(sample.target, ClassLabel):
                raise TypeError(f"{sample.name}: {sample.target} is not one class")
            indices.append(sample.target.index)
        return torch.tensor(indices, dtype=torch.int64)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N,) float32: the weighted, smoothed loss of every image, from logits (N, K) of any float dtype."""
        return softmax_nll(outputs, targets, class_weights=self._class_weights, label_smoothing=self._label_smoothing)

    def image_weights(self, targets: Tensor) -> Tensor:
        """(N,) float64: the weight of each image's class; 1 without class weights."""
        if self._class_weights is None:
            return torch.ones(len(targets), dtype=torch.float64)
        return self._class_weights.double()[targets]

    def condense(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both as they are: a few numbers an image."""
        return outputs, targets

    def evaluate(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The mean of `losses`, as in training, and the accuracies, of logits (N, K), N >= 1."""
        confusion = self._confusion(float64_logits(outputs), _indices(targets))
        return {
            "loss": float(self.losses(outputs, targets).mean()),
            "accuracy": accuracy(confusion),
            "balanced_accuracy": balanced_accuracy(confusion),
        }

    def results(
        self, outputs: Tensor, targets: Tensor, *, temperature: float, groups: Sequence[str | None] | None = None
    ) -> dict[str, Any]:
        """Everything that is reported on a split.

        Args:
            outputs: (N, K) logits, N >= 1.
            targets: (N,) int64.
            temperature: what the logits are divided by; figures called `_before` are at temperature 1.
            groups: (N,) the group of each image, None where it stands alone; given, the intervals are over groups.

        Returns:
            JSON values; shares are fractions in [0, 1], and what cannot be computed is None with a note.
        """
        logits, truth = float64_logits(outputs), _indices(targets)
        confusion = self._confusion(logits, truth)
        right = logits.argmax(axis=1) == truth
        numbers = None if groups is None else group_numbers(groups)
        interval = accuracy_interval(right, numbers)
        calibrated, uncalibrated = logits / temperature, logits
        top_5 = {"top5_accuracy": top_k_accuracy(logits, truth, 5)} if self.outputs > 5 else {}
        return {
            "n": len(truth),
            "groups": None if numbers is None else int(numbers.max()) + 1,
            "accuracy": accuracy(confusion),
            "accuracy_ci95": [interval.low, interval.high],
            "accuracy_ci95_method": interval.method,
            "balanced_accuracy": balanced_accuracy(confusion),
            "balanced_accuracy_ci95": balanced_accuracy_interval(truth, right, numbers, self.outputs),
            **top_5,
            "temperature": temperature,
            "nll": nll(calibrated, truth),
            "nll_before": nll(uncalibrated, truth),
            "brier": brier_score(softmax(calibrated, axis=1), truth),
            **calibration_figures(
                softmax(calibrated, axis=1).max(axis=1), softmax(uncalibrated, axis=1).max(axis=1), right
            ),
            "per_class": self._per_class(confusion),
            "confusion": confusion.tolist(),
        }

    def fit_temperature(self, outputs: Tensor, targets: Tensor) -> float:
        """The divisor of the logits, in [0.05, 20], that makes the likelihood of held-out images largest.

        One imagined wrong answer is added, after the rule of succession: held-out images that are all right would
        otherwise make every probability 1. For no images it is 1.
        """
        images = len(targets)
        if images == 0:
            return 1.0
        logits, truth = float64_logits(outputs), _indices(targets)
        doubt = 1 / (images + 2)
        soft = np.full(logits.shape, doubt / (self.outputs - 1))
        soft[np.arange(images), truth] = 1 - doubt
        # The loss is mean(logsumexp(a / T)) - mean(soft . a) / T, whose second mean needs computing once.
        aligned = float(np.mean(np.sum(soft * logits, axis=1)))
        scores = torch.from_numpy(logits)
        return best_temperature(lambda t: float(torch.logsumexp(scores / t, dim=1).mean()) - aligned / t)

    def probabilities(self, outputs: Tensor, *, temperature: float) -> Tensor:
        """(N, K) float64, rows sum to 1."""
        return torch.from_numpy(softmax(float64_logits(outputs) / temperature, axis=1))

    def prediction(self, probabilities: Sequence[float]) -> dict[str, Any]:
        """The most probable class, its probability, and those of all classes, most probable first."""
        ranked = sorted(zip(self.classes, map(float, probabilities), strict=True), key=lambda pair: -pair[1])
        best, probability = ranked[0]
        return {"label": best, "probability": probability, "probabilities": dict(ranked)}

    def image_results(self, probabilities: Tensor, targets: Tensor) -> list[ImageResult]:
        """How every image fared, from probabilities (N, K) and targets (N,)."""
        best, predicted = probabilities.max(dim=1)
        return [
            ImageResult(self.classes[truth], self.classes[named], probability, truth == named)
            for truth, named, probability in zip(targets.tolist(), predicted.tolist(), best.tolist(), strict=True)
        ]

    def _confusion(self, logits: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.int64]:
        return confusion_matrix(truth, logits.argmax(axis=1), self.outputs)

    def _per_class(self, confusion: NDArray[np.int64]) -> list[dict[str, Any]]:
        rows = []
        for index, name in enumerate(self.classes):
            right, images = int(confusion[index, index]), int(confusion[index].sum())
            scores = per_class_scores(right, images, int(confusion[:, index].sum()))
            interval = list(wilson_interval(right, images)) if images else None
            rows.append({"class": name, "n": images, **asdict(scores), "recall_ci95": interval})
        return rows


def _indices(targets: Tensor) -> NDArray[np.int64]:
    indices: NDArray[np.int64] = targets.detach().cpu().numpy()
    return indices
