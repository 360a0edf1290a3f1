from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from convolve.data.dataset import IGNORE, Mask, MaskCoding, Outline, Outlines
from convolve.data.decoding import BrokenImage
from convolve.data.masks.coding import decode_mask
from convolve.data.masks.palette import class_colours

RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)
COLOURS = MaskCoding("colour", ((RED,), (BLUE, (0, 0, 254))), ignored=((155, 155, 155),))
NUMBERS = MaskCoding("index", ((0,), (7, 9)), ignored=(255,))


def saved(image: Image.Image, path: Path) -> Mask:
    image.save(path)
    return Mask(path)


@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from([0, 7, 9, 3, 255])
    )
)
def test_numbers_are_looked_up_one_by_one(values: np.ndarray) -> None:
    decoded = decode_mask(Mask(values), NUMBERS, hw=values.shape)
    meaning = {0: 0, 7: 1, 9: 1}
    for value, index in zip(values.ravel(), decoded.classes.ravel(), strict=True):
        assert index == meaning.get(int(value), IGNORE)
    strays = int((values == 3).sum())
    assert decoded.undeclared == ({3: strays} if strays else {})


@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3)),
        elements=st.sampled_from([0, 155, 254, 255]),
    )
)
def test_colours_are_looked_up_one_by_one(pixels: np.ndarray) -> None:
    decoded = decode_mask(Mask(pixels), COLOURS, hw=None)
    meaning = {RED: 0, BLUE: 1, (0, 0, 254): 1}
    strays: dict[tuple[int, ...], int] = {}
    for colour, index in zip(pixels.reshape(-1, 3).tolist(), decoded.classes.ravel(), strict=True):
        assert index == meaning.get(tuple(colour), IGNORE)
        if tuple(colour) not in meaning and tuple(colour) != (155, 155, 155):
            strays[tuple(colour)] = strays.get(tuple(colour), 0) + 1
    assert decoded.undeclared == strays


def test_a_palette_has_numbers_and_colours(tmp_path: Path) -> None:
    values = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(values)
    image.putpalette([*BLUE, *RED, 155, 155, 155])
    mask = saved(image, tmp_path / "a.png")
    assert decode_mask(mask, COLOURS, hw=(2, 2)).classes.tolist() == [[1, 0], [IGNORE, 0]]
    as_numbers = MaskCoding("index", ((2,), (1,), (0,)))
    assert decode_mask(mask, as_numbers, hw=(2, 2)).classes.tolist() == [[2, 1], [0, 1]]


def test_sixteen_bits_stay_sixteen(tmp_path: Path) -> None:
    mask = saved(Image.fromarray(np.array([[0, 256, 40000]], np.uint16)), tmp_path / "a.png")
    decoded = decode_mask(mask, MaskCoding("index", ((0,), (40000,))), hw=(1, 3))
    assert (decoded.classes.tolist(), decoded.undeclared) == ([[0, IGNORE, 1]], {256: 1})


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_tiffs_of_wider_numbers(dtype: type, tmp_path: Path) -> None:
    mask = saved(Image.fromarray(np.array([[0, 7, -65_530, 100_000]], dtype)), tmp_path / "a.tif")
    decoded = decode_mask(mask, NUMBERS, hw=(1, 4))
    assert (decoded.classes.tolist(), decoded.undeclared) == ([[0, 1, IGNORE, IGNORE]], {-65_530: 1, 100_000: 1})


def test_halves_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(BrokenImage, match="not whole numbers"):
        decode_mask(saved(Image.fromarray(np.array([[0.5]], np.float32)), tmp_path / "a.tif"), NUMBERS, hw=None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_followed_as_in_images(orientation: int, tmp_path: Path) -> None:
    pixels = np.array([[0, 7, 255], [9, 0, 0]], np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    decoded = decode_mask(Mask(tmp_path / "a.png"), NUMBERS, hw=upright.shape)
    assert decoded.classes.tolist() == np.select([upright == 0, upright == 255], [0, IGNORE], 1).tolist()


def test_alpha_is_black_where_it_is_transparent(tmp_path: Path) -> None:
    pixels = np.array([[[*RED, 255], [*RED, 0], [*BLUE, 128]]], np.uint8)
    coding = MaskCoding("colour", ((BLACK,), (RED,), (BLUE,)))
    assert decode_mask(saved(Image.fromarray(pixels), tmp_path / "a.png"), coding, hw=None).classes.tolist() == [
        [1, 0, 2]
    ]


def test_grey_in_colour_files_is_a_number_and_colour_is_none(tmp_path: Path) -> None:
    grey = saved(Image.fromarray(np.array([[[7, 7, 7], [0, 0, 0]]], np.uint8)), tmp_path / "a.png")
    assert decode_mask(grey, NUMBERS, hw=None).classes.tolist() == [[1, 0]]
    with pytest.raises(BrokenImage, match="holds colours"):
        decode_mask(saved(Image.new("RGB", (2, 2), RED), tmp_path / "b.png"), NUMBERS, hw=None)


def test_one_bit_is_0_and_255(tmp_path: Path) -> None:
    mask = saved(Image.fromarray(np.array([[True, False]])), tmp_path / "a.png")
    assert decode_mask(mask, MaskCoding("index", ((0,), (255,))), hw=None).classes.tolist() == [[1, 0]]


def test_shapes_are_numbers_of_classes() -> None:
    square = Outline(1, polygons=((1.0, 1.0, 3.0, 1.0, 3.0, 3.0, 1.0, 3.0),))
    crowd = Outline(None, polygons=((4.0, 0.0, 5.0, 0.0, 5.0, 5.0, 4.0, 5.0),))
    decoded = decode_mask(Mask(Outlines((5, 5), (square, crowd))), MaskCoding("index", ((1,), (0,))), hw=(5, 5))
    assert set(np.unique(decoded.classes)) == {0, 1, IGNORE}
    assert (decoded.classes[2, 2], decoded.classes[0, 0], decoded.classes[2, 4]) == (0, 1, IGNORE)
    assert decoded.undeclared == {}


def test_another_size_and_no_image_at_all_are_said(tmp_path: Path) -> None:
    with pytest.raises(BrokenImage, match="3 x 2 pixels and the image 4 x 2"):
        decode_mask(Mask(np.zeros((2, 3), np.uint8)), NUMBERS, hw=(2, 4))
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(BrokenImage, match="holds text"):
        decode_mask(Mask(tmp_path / "a.png"), NUMBERS, hw=None)
    with pytest.raises(BrokenImage, match="is not a mask"):
        decode_mask(Mask(np.zeros((2, 3, 2), np.uint8)), NUMBERS, hw=None)


def test_there_is_a_colour_for_each_of_254_classes() -> None:
    colours = class_colours(254)
    assert len(set(colours)) == 254
    assert not set(colours) & {(0, 0, 0), (255, 255, 255)}
    assert class_colours(5) == colours[:5]
