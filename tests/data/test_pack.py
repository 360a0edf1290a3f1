from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convolve.data import cache
from convolve.data.content import content_hashes
from convolve.data.dataset import ClassLabel, ClassLabels, Dataset, ImageArray, Sample
from convolve.data.decoding import decode
from convolve.data.pack import Pack, channel_statistics, drop_broken, pack, prepare_image
from convolve.data.preprocessing import Preprocessing
from convolve.data.resizing import fit_image
from convolve.errors import UserError

FILL = 51
PREPROCESSING = Preprocessing(image_hw=(16, 16), fit="pad", channels=3, mean=(0.2,) * 3, std=(0.3,) * 3)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))
    return tmp_path


def dataset_of(*images: Path | ImageArray) -> Dataset:
    samples = tuple(Sample(f"{row}.png", image, ClassLabel(row % 2)) for row, image in enumerate(images))
    return Dataset("cells", "by hand", ("good", "bad"), samples)


def packed(dataset: Dataset, preprocessing: Preprocessing = PREPROCESSING) -> Pack:
    return pack(dataset, preprocessing, hashes=content_hashes(dataset))


def noise(height: int, width: int, seed: int = 0) -> ImageArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def file_of(pixels: ImageArray, path: Path) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_rows_are_the_samples_decoded_and_fitted(folder: Path) -> None:
    shapes = [(20, 30), (16, 16), (9, 40), (50, 20)]
    images = [noise(*shape, seed) for seed, shape in enumerate(shapes)]
    dataset = dataset_of(*(file_of(image, folder / f"{row}.png") for row, image in enumerate(images)))
    told: list[tuple[str, int, int]] = []
    result = pack(dataset, PREPROCESSING, hashes=content_hashes(dataset), progress=lambda *step: told.append(step))
    np.testing.assert_array_equal(result.images, [fit_image(image, PREPROCESSING) for image in images])
    np.testing.assert_array_equal(result.original_hw, shapes)
    assert result.colours == ("RGB",) * 4
    assert result.broken == {}
    assert told[-1][1:] == (4, 4)
    with pytest.raises(ValueError, match="read-only"):
        result.images[0] = 0


def test_arrays_pack_like_files_alone_or_together(folder: Path) -> None:
    images = [noise(20, 30, seed) for seed in range(300)]
    together = packed(dataset_of(*images))
    for row in (0, 255, 256, 299):
        alone = packed(dataset_of(file_of(images[row], folder / "a.png")))
        np.testing.assert_array_equal(together.images[row], alone.images[0])
    grey = [image[..., 0] for image in images[:3]]
    np.testing.assert_array_equal(packed(dataset_of(*grey)).images[..., 0], packed(dataset_of(*grey)).images[..., 2])


def test_prediction_sees_the_packs_pixels(folder: Path) -> None:
    smooth = np.asarray(Image.fromarray(noise(4, 6)).resize((240, 160)))
    path = folder / "a.jpg"
    Image.fromarray(smooth).save(path, quality=90)
    prepared = prepare_image(path, PREPROCESSING)
    np.testing.assert_array_equal(packed(dataset_of(path)).images[0], prepared.pixels)
    assert prepared.original_hw == (160, 240)
    # The JPEG's own reduction is used, and hardly differs from the whole image scaled down.
    whole = fit_image(decode(path, channels=3), PREPROCESSING)
    assert np.abs(prepared.pixels.astype(int) - whole).max() <= 4


def test_a_broken_image_is_noted_and_plain(folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"")
    dataset = dataset_of(noise(8, 8), folder / "broken.png", folder / "absent.png", noise(8, 8, 1))
    result = packed(dataset)
    assert result.broken == {1: "the file is empty", 2: "there is no such file"}
    assert (result.images[1:3] == FILL).all()
    assert result.colours == ("RGB", "", "", "RGB")
    np.testing.assert_array_equal(result.original_hw, [(8, 8), (0, 0), (0, 0), (8, 8)])


def test_an_array_of_the_wrong_type_is_broken_among_good_ones() -> None:
    good = noise(8, 8)
    assert packed(dataset_of(good, good.astype(np.float32))).broken == {1: "its values are float32, not uint8"}


def test_a_pack_is_made_once_and_anew_for_other_pixels_or_shapes(folder: Path) -> None:
    path = file_of(noise(20, 20), folder / "a.png")
    first = packed(dataset_of(path))
    told: list[object] = []
    dataset = dataset_of(path)
    again = pack(dataset, PREPROCESSING, hashes=content_hashes(dataset), progress=lambda *step: told.append(step))
    assert (again.key, told) == (first.key, [])
    np.testing.assert_array_equal(again.images, first.images)
    other_std = PREPROCESSING.model_copy(update={"std": (1.0,) * 3})
    assert packed(dataset, other_std).key == first.key
    changes = [{"fit": "crop"}, {"image_hw": (8, 8)}, {"fill": (0, 9, 0)}, {"channels": 1, "fill": (9,)}]
    keys = {packed(dataset, PREPROCESSING.model_copy(update=change)).key for change in changes}
    file_of(noise(20, 20, seed=9), path)
    keys.add(packed(dataset).key)
    assert len(keys | {first.key}) == 6


@pytest.mark.parametrize("part", ["images.npy", "original_hw.npy", "facts.json"])
@pytest.mark.parametrize("damage", [lambda content: b"", lambda content: content[:-3], lambda content: b"junk"])
def test_a_damaged_entry_is_made_anew(part: str, damage) -> None:
    dataset = dataset_of(noise(8, 8))
    before = np.array(packed(dataset).images)
    [entry] = cache.entries()[-1:]
    path = cache.cache_folder() / entry.kind / entry.key / part
    path.write_bytes(damage(path.read_bytes()))
    np.testing.assert_array_equal(packed(dataset).images, before)
    path.unlink()
    np.testing.assert_array_equal(packed(dataset).images, before)


def test_dropping_broken_images_keeps_rows_and_notes_problems(folder: Path) -> None:
    dataset = dataset_of(folder / "absent.png", noise(8, 8), noise(8, 8, 1), noise(8, 8, 2))
    left, rows = drop_broken(dataset, packed(dataset))
    assert rows.tolist() == [1, 2, 3]
    assert rows.dtype == np.int64
    assert [sample.name for sample in left.samples] == ["1.png", "2.png", "3.png"]
    assert [(problem.where, problem.what) for problem in left.problems] == [("0.png", "there is no such file")]


def test_a_class_without_images_is_a_mistake(folder: Path) -> None:
    dataset = dataset_of(noise(8, 8), folder / "absent.png", noise(8, 8, 1))
    with pytest.raises(UserError, match=r"cells: no image of class bad can be used: 1\.png: there is no such file"):
        drop_broken(dataset, packed(dataset))


def test_no_image_at_all_is_a_mistake(folder: Path) -> None:
    samples = tuple(Sample(f"{row}", folder / "absent", ClassLabels(())) for row in range(5))
    dataset = Dataset("cells", "by hand", ("a",), samples)
    with pytest.raises(UserError, match=r"none of the 5 images can be used: 0: there is no such file, .* and 2 more"):
        drop_broken(dataset, packed(dataset))


def test_statistics_are_numpys() -> None:
    images = np.random.default_rng(0).integers(0, 200, (600, 4, 5, 3), dtype=np.uint8)
    rows = np.arange(0, 600, 2)
    mean, std = channel_statistics(images, rows)
    np.testing.assert_allclose(mean, (images[rows] / 255).mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images[rows] / 255).std(axis=(0, 1, 2)), rtol=1e-12)
    assert channel_statistics(np.full((2, 4, 4, 1), 255, np.uint8), np.array([0, 1])) == ((1.0,), (0.0,))
