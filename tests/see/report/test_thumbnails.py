from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from convolve.see.report.thumbnails import data_uri


def decoded(uri):
    return Image.open(BytesIO(b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize("shape", [(8, 8), (8, 6, 1), (8, 6, 3), (64, 64, 3)])
def test_small_images_keep_every_pixel(shape):
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert data_uri(image).startswith("data:image/png;")
    assert np.array_equal(np.asarray(decoded(data_uri(image))), image.squeeze())


def test_large_images_are_shrunk_without_changing_their_shape():
    uri = data_uri(np.full((300, 600, 3), 120, dtype=np.uint8))
    assert uri.startswith("data:image/jpeg;")
    assert decoded(uri).size == (160, 80)
    assert np.abs(np.asarray(decoded(uri)).astype(int) - 120).max() <= 1


def test_what_was_shrunk_already_keeps_its_size():
    assert decoded(data_uri(np.zeros((200, 300, 3), np.uint8), shrunk=False)).size == (300, 200)
