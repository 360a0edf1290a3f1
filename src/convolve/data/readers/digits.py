"""scikit-learn's handwritten digits: 1,797 images of 8 x 8 pixels that come with the library, so nothing is fetched."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from convolve.data.dataset import ClassLabel, Dataset, Sample
from convolve.data.reading import READERS

_FULL_INK = 16


class Digits:
    """The test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI repository, 1998)."""

    form = "built-in"
    layout = "the word digits: handwritten digits of 8 x 8 pixels"
    built_in = True

    def recognise(self, source: str) -> bool:
        """Whether it is the word."""
        return source == "digits"

    def read(self, source: str) -> Dataset:
        """Images are (8, 8) uint8: ink 0..16 as 0..255, white on black."""
        digits = load_digits()
        pixels = np.rint(digits.images * (255 / _FULL_INK)).astype(np.uint8)
        return Dataset(
            name="digits",
            form=self.form,
            classes=tuple(str(name) for name in digits.target_names),
            samples=tuple(
                Sample(name=str(number), image=image, target=ClassLabel(int(label)))
                for number, (image, label) in enumerate(zip(pixels, digits.target, strict=True))
            ),
            licence="CC-BY-4.0",
        )

    def write_example(self, folder: Path) -> str:
        """Nothing to write."""
        return "digits"


READERS.add("digits", Digits())
