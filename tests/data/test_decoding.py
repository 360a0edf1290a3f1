import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from convolve.data.decoding import BrokenImage, decode, decode_with_facts, upright_hw

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def gradient(height: int, width: int) -> np.ndarray:
    return np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["png", "tiff", "jpg"])
def test_orientation_is_applied(orientation: int, ending: str, tmp_path: Path) -> None:
    image = Image.fromarray(gradient(16, 24))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(image, tmp_path / f"a.{ending}", exif=exif)
    with Image.open(path) as opened:
        upright = np.asarray(ImageOps.exif_transpose(opened))
    decoded = decode_with_facts(path, channels=3)
    np.testing.assert_array_equal(decoded.pixels, upright)
    assert decoded.original_hw == upright.shape[:2] == ((24, 16) if orientation > 4 else (16, 24))
    assert decode(path, channels=1).shape == (*upright.shape[:2], 1)


def test_a_damaged_orientation_counts_as_none(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (8, 4), RED), tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09junk")
    assert decode(path, channels=3).shape == (4, 8, 3)


def test_palettes_are_expanded_and_their_transparency_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([*RED, *GREEN, *BLUE])
    image.putdata([0, 1, 2])
    path = saved(image, tmp_path / "a.png", transparency=b"\xff\xff\x00")
    np.testing.assert_array_equal(decode(path, channels=3)[0], [RED, GREEN, WHITE])


def test_alpha_is_composited_on_white(tmp_path: Path) -> None:
    pixels = np.array([[[0, 0, 0, 255], [0, 0, 0, 0], [200, 0, 0, 51]]], np.uint8)
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    by_hand = [(0, 0, 0), WHITE, (244, 204, 204)]  # 0.2 * 200 + 0.8 * 255, 0.8 * 255
    np.testing.assert_allclose(decode(path, channels=3)[0], by_hand, atol=1)
    np.testing.assert_array_equal(decode(pixels, channels=3), decode(path, channels=3))
    grey_alpha = np.array([[[0, 255], [0, 0]]], np.uint8)
    np.testing.assert_array_equal(decode(grey_alpha, channels=1)[0], [[0], [255]])


def test_cmyk_is_converted(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[..., 1:3] = 255  # magenta and yellow ink make red
    path = saved(Image.fromarray(pixels, "CMYK"), tmp_path / "a.tiff")
    assert (decode(path, channels=3) == RED).all()
    jpeg = saved(Image.fromarray(pixels, "CMYK"), tmp_path / "a.jpg", quality=95)
    assert np.abs(decode(jpeg, channels=3).astype(int) - RED).max() < 12


@pytest.mark.parametrize("ending", ["png", "tiff", "pgm"])
def test_sixteen_bits_are_divided_by_256_whatever_the_range(ending: str, tmp_path: Path) -> None:
    values = np.array([[0, 255, 256, 511, 40_000, 65_535]], np.uint16)
    path = tmp_path / f"a.{ending}"
    if ending == "pgm":
        path.write_bytes(b"P5 6 1 65535\n" + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(path)
    np.testing.assert_array_equal(decode(path, channels=1)[0, :, 0], [0, 0, 1, 1, 156, 255])
    np.testing.assert_array_equal(decode(path, channels=3)[0, :, 2], [0, 0, 1, 1, 156, 255])


@pytest.mark.parametrize(("dtype", "what"), [(np.float32, "floating point"), (np.int32, "32-bit")])
def test_pixels_without_black_and_white_are_refused(dtype: type, what: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tiff", np.ones((4, 4), dtype))
    with pytest.raises(BrokenImage, match=what):
        decode(tmp_path / "a.tiff", channels=1)


def test_grey_and_colour_convert_both_ways(tmp_path: Path) -> None:
    colour = saved(Image.fromarray(np.array([[RED, GREEN, BLUE, WHITE]], np.uint8)), tmp_path / "a.png")
    np.testing.assert_array_equal(decode(colour, channels=1)[0, :, 0], [76, 150, 29, 255])  # 0.299, 0.587, 0.114
    grey = saved(Image.fromarray(np.array([[0, 9, 255]], np.uint8)), tmp_path / "b.png")
    np.testing.assert_array_equal(decode(grey, channels=3)[0], [[0] * 3, [9] * 3, [255] * 3])
    bits = saved(Image.fromarray(np.array([[False, True]])), tmp_path / "c.png")
    np.testing.assert_array_equal(decode(bits, channels=1)[0, :, 0], [0, 255])


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tiff"])
def test_the_first_of_several_frames(ending: str, tmp_path: Path) -> None:
    red, blue = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(red, tmp_path / f"a.{ending}", save_all=True, append_images=[blue], **options)
    assert (decode(path, channels=3) == RED).all()


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp", "bmp", "tiff"])
def test_a_truncated_file_is_broken(ending: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = saved(Image.fromarray(pixels), tmp_path / f"a.{ending}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(BrokenImage, match="damaged"):
        decode(path, channels=3)


def test_an_over_large_image_is_not_even_decoded(tmp_path: Path) -> None:
    header = BytesIO()
    Image.new("1", (8, 8)).save(header, "BMP")
    forged = bytearray(header.getvalue())
    forged[18:26] = (60_000).to_bytes(4, "little") * 2
    (tmp_path / "bomb.bmp").write_bytes(forged)
    with pytest.raises(BrokenImage, match="60000 x 60000 pixels are more than 200 megapixels"):
        decode(tmp_path / "bomb.bmp", channels=1)
    with pytest.raises(BrokenImage, match="more than 2e-05 megapixels"):
        decode(np.zeros((5, 5), np.uint8), channels=1, max_pixels=20)


def test_between_pillows_limit_and_ours_an_image_is_read_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = saved(Image.new("L", (8, 8)), tmp_path / "a.png")
    assert decode(path, channels=1).shape == (8, 8, 1)
    assert Image.MAX_IMAGE_PIXELS == 10


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>404</html>", "text"),
        ("größer".encode() * 400, "text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "git lfs pull"),
        (b"\x00\x01\x02\x03 junk", "not an image"),
        (b"\xff\xd8\xff", "not an image"),
    ],
)
def test_what_is_no_image_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(BrokenImage, match=reason):
        decode(path, channels=3)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenImage, match="no such file"):
        decode(tmp_path / "absent.png", channels=3)
    with pytest.raises(BrokenImage, match="folder"):
        decode(tmp_path, channels=3)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_one_may_not_read_is_named(tmp_path: Path) -> None:
    path = saved(Image.new("L", (8, 8)), tmp_path / "a.png")
    path.chmod(0)
    with pytest.raises(BrokenImage, match="Permission denied"):
        decode(path, channels=1)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((0, 4), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
        (np.zeros((4, 4, 5), np.uint8), "shape"),
        (np.zeros((4, 4), np.float32), "float32"),
    ],
)
def test_arrays_that_are_no_images_are_broken(array: np.ndarray, reason: str) -> None:
    with pytest.raises(BrokenImage, match=reason):
        decode(array, channels=1)


def test_arrays_decode_like_their_files(tmp_path: Path) -> None:
    for shape in [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4), (4, 5, 2)]:
        array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
        path = saved(Image.fromarray(array.squeeze()), tmp_path / "a.png")
        for channels in (1, 3):
            np.testing.assert_array_equal(decode(array, channels=channels), decode(path, channels=channels))


def test_a_jpeg_may_be_decoded_smaller_but_never_below_what_is_asked(tmp_path: Path) -> None:
    smooth = Image.fromarray(gradient(8, 12)).resize((300, 200), Image.Resampling.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(smooth, tmp_path / "a.jpg", quality=95, exif=exif)
    small = decode_with_facts(path, channels=3, at_least_hw=(40, 50))
    assert small.pixels.shape == (75, 50, 3)
    assert small.original_hw == (300, 200)
    whole = Image.fromarray(decode(path, channels=3)).resize((50, 75), Image.Resampling.BOX)
    assert np.abs(small.pixels.astype(int) - np.asarray(whole)).max() < 12


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(
    ending=st.sampled_from(["png", "jpg", "gif", "tiff", "bmp", "webp"]),
    changes=st.lists(st.tuples(st.integers(0), st.binary())),
)
def test_hostile_bytes_decode_or_are_broken(ending: str, changes: list[tuple[int, bytes]], tmp_path: Path) -> None:
    path = saved(Image.fromarray(gradient(8, 9)), tmp_path / f"a.{ending}")
    content = bytearray(path.read_bytes())
    for position, replacement in changes:
        at = position % len(content)
        content[at : at + len(replacement)] = replacement
    path.write_bytes(content)
    with suppress(BrokenImage):
        pixels = decode(path, channels=3, max_pixels=10_000)
        assert (pixels.dtype, pixels.shape[2]) == (np.uint8, 3)
        assert pixels.shape[0] * pixels.shape[1] <= 10_000


def test_threads_leave_the_filters_of_warnings_as_they_were(tmp_path: Path) -> None:
    path = saved(Image.fromarray(gradient(16, 16)), tmp_path / "a.png")
    before, limit = list(warnings.filters), Image.MAX_IMAGE_PIXELS
    meeting = threading.Barrier(4)

    def read(_: int) -> int:
        meeting.wait(timeout=10)
        return sum(decode(path, channels=3).shape[0] for _ in range(50))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(read, range(4))) == [800] * 4
    assert list(warnings.filters) == before
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_upright_size_of_a_png_is_told_wherever_its_note_stands(
    behind: bool, orientation: int, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((3, 5), np.uint8)).save(path, exif=exif)
    if behind:  # as the specification allows
        content = path.read_bytes()
        start = content.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        tail = content.index(b"IEND") - 4
        path.write_bytes(content[:start] + content[end:tail] + content[start:end] + content[tail:])
    assert upright_hw(path) == decode(path, channels=1).shape[:2] == ((3, 5) if orientation == 1 else (5, 3))


def test_the_upright_size_of_a_large_png_is_told_without_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60), dtype=np.uint8)).save(path)
    content = path.read_bytes()
    place = content.index(b"IDAT") + 20
    path.write_bytes(content[:place] + bytes(100) + content[place + 100 :])  # damaged, which decoding finds
    assert upright_hw(path) == (40, 60)
    with pytest.raises(BrokenImage):
        decode(path, channels=1)
