from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from convolve.data.dataset import Sample, labels_of
from convolve.tasks.classify.calibration import calibration_figures
from convolve.tasks.classify.image_result import ImageResult
from convolve.tasks.classify.intervals import accuracy_interval, group_numbers
from convolve.tasks.classify.logits import float64_logits
from convolve.tasks.losses.sigmoid_nll import sigmoid_nll
from convolve.tasks.metrics.average_precision import average_precision
from convolve.tasks.metrics.balanced_accuracy import balanced_accuracy
from convolve.tasks.metrics.binary_nll import binary_nll
from convolve.tasks.metrics.confusion_matrix import confusion_matrix
from convolve.tasks.metrics.per_class_scores import per_class_scores
from convolve.tasks.metrics.temperature import temperature as best_temperature
from convolve.tasks.metrics.wilson_interval import wilson_interval

Score = Literal["mean_average_precision", "macro_f1", "balanced_accuracy", "accuracy"]


@final
class SeveralLabels:
    """Which of the classes an image shows, none included: one sigmoid a class.

    "accuracy" is that of whole images here (exact match): every class of an image must be right.

    Args:
        classes: K names, in the order of the outputs.
        class_weights: (K,) how much each class counts in the loss, mean 1.
        label_smoothing: share of a target spread over yes and no, in [0, 1).
        threshold: a class is predicted where its calibrated probability is at least this, in (0, 1).
        score_name: the figure that chooses between epochs; by default one that no threshold enters.
    """

    name = "classify"

    def __init__(
        self,
        classes: Sequence[str],
        *,
        class_weights: Tensor | None = None,
        label_smoothing: float = 0.0,
        threshold: float = 0.5,
        score_name: Score = "mean_average_precision",
    ) -> None:
        self.classes = tuple(classes)
        self.score_name: str = score_name
        self.threshold = threshold
        self._class_weights = class_weights
        self._label_smoothing = label_smoothing

    @property
    def outputs(self) -> int:
        """K, one logit a class."""
        return len(self.classes)

    def pack_targets(self, samples: Sequence[Sample]) -> Tensor:
        """(N, K) float32, 1 where an image has the class and 0 elsewhere."""
        targets = torch.zeros(len(samples), self.outputs)
        for row, sample in enumerate(samples):
            targets[row, list(labels_of(sample))] = 1.0
        return targets

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """(N,) float32: the weighted, smoothed loss of every image, from logits (N, K) of any float dtype."""
        return sigmoid_nll(outputs, targets, class_weights=self._class_weights, label_smoothing=self._label_smoothing)

    def image_weights(self, targets: Tensor) -> Tensor:
        """(N,) float64, all 1: weights are of classes here, and an image has several."""
        return torch.ones(len(targets), dtype=torch.float64)

    def condense(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Both as they are: a few numbers an image."""
        return outputs, targets

    def evaluate(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """The mean of `losses`, as in training, and scores, of logits (N, K), N >= 1."""
        logits, truth = float64_logits(outputs), _truth(targets)
        predicted = expit(logits) >= self.threshold
        rows = self._per_class(logits, truth, predicted)
        return {
            "loss": float(self.losses(outputs, targets).mean()),
            "accuracy": float(np.mean(np.all(predicted == truth, axis=1))),
            "balanced_accuracy": _mean_balanced_accuracy(truth, predicted),
            "macro_f1": _mean_of(rows, "f1"),
            "mean_average_precision": _mean_of(rows, "average_precision"),
        }

    def results(
        self, outputs: Tensor, targets: Tensor, *, temperature: float, groups: Sequence[str | None] | None = None
    ) -> dict[str, Any]:
        """Everything that is reported on a split.

        Args:
            outputs: (N, K) logits, N >= 1.
            targets: (N, K) in {0, 1}.
            temperature: what the logits are divided by; figures called `_before` are at temperature 1.
            groups: (N,) the group of each image, None where it stands alone; given, the intervals are over groups.

        Returns:
            JSON values; shares are fractions in [0, 1], and what cannot be computed is None with a note. "accuracy" is
            the share of images with every class right; "nll", "ece" and "reliability" are over all N K answers;
            means over classes leave out those without a figure.
        """
        logits, truth = float64_logits(outputs), _truth(targets)
        calibrated = logits / temperature
        predicted = expit(calibrated) >= self.threshold
        rows = self._per_class(logits, truth, predicted)
        right = np.all(predicted == truth, axis=1)
        numbers = None if groups is None else group_numbers(groups)
        interval = accuracy_interval(right, numbers)
        return {
            "n": len(truth),
            "groups": None if numbers is None else int(numbers.max()) + 1,
            "accuracy": float(right.mean()),
            "accuracy_is": "exact match: every class of an image right",
            "accuracy_ci95": [interval.low, interval.high],
            "accuracy_ci95_method": interval.method,
            "balanced_accuracy": _mean_balanced_accuracy(truth, predicted),
            "macro_f1": _mean_of(rows, "f1"),
            "mean_average_precision": _mean_of(rows, "average_precision"),
            "threshold": self.threshold,
            "temperature": temperature,
            "nll": binary_nll(calibrated, truth),
            "nll_before": binary_nll(logits, truth),
            **calibration_figures(expit(calibrated).ravel(), expit(logits).ravel(), truth.ravel()),
            "per_class": rows,
        }

    def fit_temperature(self, outputs: Tensor, targets: Tensor) -> float:
        """The divisor of the logits, in [0.05, 20], that makes the likelihood of held-out answers largest.

        One imagined wrong answer is added, after the rule of succession (Platt, "Probabilistic outputs for support
        vector machines", 1999, section 2.2): answers that are all right would otherwise make every probability 0 or 1.
        For no images it is 1.
        """
        if len(targets) == 0:
            return 1.0
        logits, truth = float64_logits(outputs), _truth(targets)
        doubt = 1 / (truth.size + 2)
        return best_temperature(
            lambda t: (1 - doubt) * binary_nll(logits / t, truth) + doubt * binary_nll(logits / t, ~truth)
        )

    def probabilities(self, outputs: Tensor, *, temperature: float) -> Tensor:
        """(N, K) float64, each class by itself."""
        return torch.from_numpy(expit(float64_logits(outputs) / temperature))

    def prediction(self, probabilities: Sequence[float]) -> dict[str, Any]:
        """The classes at or above the threshold, and the probabilities of all, most probable first.

        "probability" is that of the least certain of the K answers: yes for the classes named, no for the others.
        """
        ranked = sorted(zip(self.classes, map(float, probabilities), strict=True), key=lambda pair: -pair[1])
        found = [name for name, probability in ranked if probability >= self.threshold]
        least_certain = min(chance if chance >= self.threshold else 1 - chance for _, chance in ranked)
        return {
            "label": found,
            "probability": least_certain,
            "threshold": self.threshold,
            "probabilities": dict(ranked),
        }

    def image_results(self, probabilities: Tensor, targets: Tensor) -> list[ImageResult]:
        """How every image fared, from probabilities (N, K) and targets (N, K)."""
        chances = probabilities.numpy()
        truths, predictions = _truth(targets), chances >= self.threshold
        confidences = np.where(predictions, chances, 1 - chances)
        results = []
        for truth, predicted, confidence in zip(truths, predictions, confidences, strict=True):
            wrong = truth != predicted
            decisive = confidence[wrong].max() if wrong.any() else confidence.min()
            results.append(ImageResult(self._words(truth), self._words(predicted), float(decisive), not wrong.any()))
        return results

    def _words(self, chosen: NDArray[np.bool_]) -> str:
        return " + ".join(self.classes[index] for index in np.flatnonzero(chosen)) or "none"

    def _per_class(
        self, logits: NDArray[np.float64], truth: NDArray[np.bool_], predicted: NDArray[np.bool_]
    ) -> list[dict[str, Any]]:
        rows = []
        for index, name in enumerate(self.classes):
            of_class, called = truth[:, index], predicted[:, index]
            right, images = int(np.count_nonzero(of_class & called)), int(np.count_nonzero(of_class))
            scores = per_class_scores(right, images, int(np.count_nonzero(called)))
            rows.append(
                {
                    "class": name,
                    "n": images,
                    **asdict(scores),
                    "average_precision": average_precision(logits[:, index], of_class),
                    "recall_ci95": list(wilson_interval(right, images)) if images else None,
                }
            )
        return rows


def _mean_balanced_accuracy(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    columns = zip(truth.T.astype(np.int64), predicted.T.astype(np.int64), strict=True)
    return float(np.mean([balanced_accuracy(confusion_matrix(t, p, 2)) for t, p in columns]))


def _mean_of(rows: list[dict[str, Any]], figure: str) -> float:
    values = [row[figure] for row in rows if row[figure] is not None]
    return float(np.mean(values)) if values else 0.0


def _truth(targets: Tensor) -> NDArray[np.bool_]:
    truth: NDArray[np.bool_] = targets.detach().cpu().numpy() > 0.5
    return truth
