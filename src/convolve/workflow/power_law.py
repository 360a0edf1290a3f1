"""A learning curve's shape, fitted and carried a little further: the error falls with a power of the images.

error(n) = floor + drop (n / n_0)^-exponent: Hestness et al., "Deep Learning Scaling is Predictable, Empirically", 2017;
for classifiers on small data, Figueroa et al., "Predicting sample size required for classification performance", BMC
Medical Informatics and Decision Making 12:8, 2012.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from convolve.randomness import numpy_generator

FURTHEST = 4.0
"""How many times the images that were measured a curve may be carried to."""

RESAMPLES = 200
_FEWEST_SIZES = 4
_STEEPEST = 2.0
# Root mean square of the misses, in standard errors: beyond, the points are not on any such curve.
_WORST_MISS = 3.0


@dataclass(frozen=True)
class PowerLaw:
    """error(n) = floor + drop (n / smallest)^-exponent, all >= 0, errors as fractions."""

    floor: float
    drop: float
    exponent: float
    smallest: float

    def error(self, images: float) -> float:
        """The expected error with so many training images."""
        return float(self.floor + self.drop * (images / self.smallest) ** -self.exponent)

    def images_for(self, error: float) -> float:
        """How many training images bring the error down to this; infinity where none do."""
        above = error - self.floor
        if above <= 0 or self.drop <= 0 or self.exponent <= 0:
            return np.inf
        return float(self.smallest * np.exp(min(np.log(self.drop / above) / self.exponent, 700.0)))


@dataclass(frozen=True)
class Measured:
    """The points of one curve.

    Attributes:
        images: (S,) training images of each size, ascending.
        right: S arrays (D_s, T) in {0, 1}: whether each test image was right in each draw.
        units: (T,) number of each test image's group from 0; test images of one group are drawn together.
    """

    images: NDArray[np.float64]
    right: Sequence[NDArray[np.float64]]
    units: NDArray[np.int64]

    @property
    def errors(self) -> NDArray[np.float64]:
        """(S,) means over draws and test images."""
        return np.array([1 - right.mean() for right in self.right])

    @property
    def draw_variances(self) -> NDArray[np.float64]:
        """(S,) of the mean error of each size, from which images happened to be trained on.

        A few draws tell little at a single size. Together they do, the variance of one draw being taken to fall as
        1 / n; so the largest size has one too, although there is but one way to draw all images.
        """
        scaled = [
            n * np.var(right.mean(axis=1), ddof=1)
            for n, right in zip(self.images, self.right, strict=True)
            if len(right) > 1
        ]
        constant = float(np.mean(scaled)) if scaled else 0.0
        draws = np.array([len(right) for right in self.right])
        variances: NDArray[np.float64] = constant / self.images / draws
        return variances

    @property
    def deviations(self) -> NDArray[np.float64]:
        """(S,) standard errors of the errors: of the draws and of the test images together."""
        errors, tested = self.errors, int(self.units.max()) + 1
        # One wrong and one right image more: no error rate is known exactly, least of all 0.
        smoothed = (errors * tested + 1) / (tested + 2)
        deviations: NDArray[np.float64] = np.sqrt(self.draw_variances + smoothed * (1 - smoothed) / tested)
        return deviations


@dataclass(frozen=True)
class Fitted:
    """A power law and others as plausible, from test images and draws drawn again."""

    law: PowerLaw
    resampled: tuple[PowerLaw, ...]

    def accuracy(self, images: float) -> tuple[float, float, float]:
        """(expected, low, high) accuracy with so many training images; the interval is 95 %."""
        return _with_interval(1 - self.law.error(images), [1 - law.error(images) for law in self.resampled])

    def gain(self, before: float, after: float) -> tuple[float, float, float]:
        """(expected, low, high) rise of the accuracy from one number of training images to another."""
        rises = [law.error(before) - law.error(after) for law in self.resampled]
        return _with_interval(self.law.error(before) - self.law.error(after), rises)

    def more_images(self, now: float, gain: float) -> tuple[float, float, float]:
        """(expected, low, high) further images that raise the accuracy by `gain`; infinity where none do."""
        more = [law.images_for(law.error(now) - gain) - now for law in self.resampled]
        return _with_interval(self.law.images_for(self.law.error(now) - gain) - now, more)


def fit_power_law(measured: Measured, *, seed: int) -> Fitted | str:
    """The power law through the points, or in words why there is none."""
    if len(measured.images) < _FEWEST_SIZES:
        return f"{len(measured.images)} sizes are too few to see how the curve bends"
    deviations = measured.deviations
    law = _fit(measured.images, measured.errors, deviations)
    misses = [(law.error(n) - e) / d for n, e, d in zip(measured.images, measured.errors, deviations, strict=True)]
    if float(np.sqrt(np.mean(np.square(misses)))) > _WORST_MISS:
        return "the points do not lie on a curve of the usual shape (a power of the number of images)"
    generator = numpy_generator(seed, "curve", "resample")
    units = int(measured.units.max()) + 1
    spread = np.sqrt(measured.draw_variances)
    laws = []
    for _ in range(RESAMPLES):
        # The same test images judge all sizes: an easy resample is easy for all of them.
        weights = np.bincount(generator.integers(units, size=units), minlength=units)[measured.units]
        errors = np.array([1 - np.average(right.mean(axis=0), weights=weights) for right in measured.right])
        laws.append(_fit(measured.images, errors + spread * generator.standard_normal(len(spread)), deviations))
    return Fitted(law, tuple(laws))


def _fit(images: NDArray[np.float64], errors: NDArray[np.float64], deviations: NDArray[np.float64]) -> PowerLaw:
    """Weighted least squares within bounds."""
    ratios = np.log(images / images[0])

    def residuals(values: NDArray[np.float64]) -> NDArray[np.float64]:
        floor, drop, exponent = values
        missed: NDArray[np.float64] = (floor + drop * np.exp(-exponent * ratios) - errors) / deviations
        return missed

    def slopes(values: NDArray[np.float64]) -> NDArray[np.float64]:
        _, drop, exponent = values
        falling = np.exp(-exponent * ratios)
        columns: NDArray[np.float64] = np.stack([np.ones_like(falling), falling, -drop * ratios * falling], axis=1)
        return columns / deviations[:, None]

    begin = np.clip([errors.min() / 2, max(errors[0] - errors.min() / 2, 0.01), 0.5], 1e-3, 0.999)
    found = least_squares(residuals, begin, jac=slopes, bounds=([0, 0, 0], [1, 1, _STEEPEST]))
    floor, drop, exponent = found.x
    return PowerLaw(float(floor), float(drop), float(exponent), float(images[0]))


def _with_interval(value: float, resampled: Sequence[float]) -> tuple[float, float, float]:
    # "lower" and "higher" are members of the sample: between a number and infinity there is nothing to interpolate.
    low = float(np.quantile(resampled, 0.025, method="lower"))
    high = float(np.quantile(resampled, 0.975, method="higher"))
    return value, min(low, value), max(high, value)
