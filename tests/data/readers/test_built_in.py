import importlib.util
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from convolve.data.reading import read_dataset
from convolve.errors import UserError


def test_digits_span_all_bytes() -> None:
    dataset = read_dataset("digits")
    truth = load_digits()
    pixels = np.stack([sample.image for sample in dataset.samples])
    assert (pixels.dtype, pixels.shape, pixels.min(), pixels.max()) == (np.uint8, (1797, 8, 8), 0, 255)
    np.testing.assert_allclose(pixels / 255, truth.images / 16, atol=0.5 / 255)
    assert [sample.target.index for sample in dataset.samples] == truth.target.tolist()
    assert dataset.classes == tuple("0123456789")


def test_elpv_counts_the_cells_of_each_kind_and_probability() -> None:
    # Counted by awk in the package's labels.csv: cells of probability 0 + 1/3, and of 2/3 + 1.
    dataset = read_dataset("elpv")
    assert Counter(sample.stratum for sample in dataset.samples) == {
        "functional-mono": 588 + 117,
        "functional-poly": 920 + 178,
        "defective-mono": 56 + 313,
        "defective-poly": 50 + 402,
    }
    assert Counter(dataset.classes[sample.target.index] for sample in dataset.samples)["defective"] == 821
    assert (dataset.proposed_test_share, dataset.licence) == (0.25, "CC-BY-NC-SA-4.0")
    with Image.open(dataset.samples[0].image) as image:
        assert image.size == (300, 300)


def test_elpv_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "convolve.data.readers.elpv.find_spec", lambda name: importlib.util.find_spec("no_such_package")
    )
    with pytest.raises(UserError, match=r'pip install "convolve\[datasets\]"'):
        read_dataset("elpv")
