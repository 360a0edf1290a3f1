"""What masks are taken to mean, and what is said where they contradict what is said of them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Outline, Outlines, Sample
from convolve.data.masks.coding import decode_mask
from convolve.data.masks.settling import MaskOptions, settle_masks
from convolve.data.reading import read_dataset
from convolve.errors import UserError

RED, BLUE, BLACK = (255, 0, 0), (0, 0, 255), (0, 0, 0)


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "kept"))


def of(*masks: np.ndarray, classes: Sequence[str] = (), **facts: object) -> Dataset:
    """A data set of these masks, each beside a black image of its size."""
    samples = [
        Sample(f"{n}.png", np.zeros((*values.shape[:2], 3), np.uint8), Mask(values)) for n, values in enumerate(masks)
    ]
    return Dataset("cells", "image/mask pairs", tuple(classes), tuple(samples), **facts)  # type: ignore[arg-type]


def numbers(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


def colours(*values: tuple[int, ...]) -> np.ndarray:
    return np.array([values], np.uint8)


def texts(dataset: Dataset) -> str:
    return "\n".join(f"{problem.where}: {problem.what}" for problem in dataset.problems)


def written(folder: Path, *images: Image.Image, ending: str = "png") -> str:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for number, image in enumerate(images):
        Image.new("RGB", image.size).save(folder / "images" / f"{number}.png")
        image.save(folder / "masks" / f"{number}.{ending}")
    return str(folder)


def test_numbers_without_names_are_classes_and_the_line_that_names_them_is_said() -> None:
    settled = settle_masks(of(numbers(0, 1, 255), numbers(3, 3, 1)), MaskOptions())
    assert settled.classes == ("class 0", "class 1", "class 2", "class 3")
    assert settled.coding is not None
    assert (settled.coding.kind, settled.coding.ignored) == ("index", (255,))
    assert "masks.classes=[...]" in texts(settled)
    assert "1 of 4 classes occur in no mask: 'class 2'" in texts(settled)


def test_numbers_far_apart_are_the_only_classes() -> None:
    settled = settle_masks(of(numbers(0, 38, 75)), MaskOptions())
    assert settled.classes == ("class 0", "class 38", "class 75")
    assert "masks.values=[0, 38, 75]" in texts(settled)


def test_sixteen_bit_values_become_classes(tmp_path: Path) -> None:
    source = written(tmp_path / "d", Image.fromarray(np.array([[0, 1000, 40000]], np.uint16)))
    settled = settle_masks(read_dataset(source), MaskOptions())
    assert settled.classes == ("class 0", "class 1000", "class 40000")
    assert decode_mask(settled.samples[0].target, settled.coding, hw=(1, 3)).classes.tolist() == [[0, 1, 2]]


def test_names_of_what_is_no_class_are_left_out_of_the_classes() -> None:
    dataset = of(numbers(0, 1, 2, 3))
    settled = settle_masks(dataset, MaskOptions(classes=["sky", "Void", "car", "unlabelled"]))
    assert settled.classes == ("sky", "car")
    assert settled.coding is not None
    assert (settled.coding.values, settled.coding.ignored) == (((0,), (2,)), (255, 1, 3))
    everything = settle_masks(dataset, MaskOptions(classes=["sky", "Void", "car", "unlabelled"], ignore=[]))
    assert len(everything.classes) == 4
    chosen = settle_masks(dataset, MaskOptions(classes=["a", "b", "c", "d"], ignore=["b", "d"]))
    assert chosen.classes == ("a", "c")
    by_value = settle_masks(dataset, MaskOptions(classes=["a", "b", "c", "d"], ignore=[1, 3]))
    assert (by_value.classes, by_value.coding) == (chosen.classes, chosen.coding)
    with pytest.raises(UserError, match=r"masks\.ignore: 'skyy' is neither a class nor a value.*\n.*'sky'"):
        settle_masks(dataset, MaskOptions(classes=["sky", "b", "c", "d"], ignore=["skyy"]))


def test_0_and_255_are_two_classes() -> None:
    settled = settle_masks(of(numbers(0, 255, 0)), MaskOptions())
    assert settled.classes == ("background", "foreground")
    assert settle_masks(of(numbers(0, 255)), MaskOptions(classes=["road"])).classes == ("background", "road")


@pytest.mark.parametrize("options", [MaskOptions(coding="index"), MaskOptions(classes=["a", "b", "c"])])
def test_0_and_255_taken_for_numbers_are_pointed_out(options: MaskOptions) -> None:
    with pytest.raises(UserError, match=r"only the values 0 and 255(.|\n)*masks\.coding=binary"):
        settle_masks(of(numbers(0, 255, 0)), options)


def test_black_and_white_files_of_any_kind_are_0_and_255(tmp_path: Path) -> None:
    values = np.array([[0, 255, 255]], np.uint8)
    kinds = [Image.fromarray(values), Image.fromarray(values).convert("RGB"), Image.fromarray(values).convert("1")]
    settled = settle_masks(read_dataset(written(tmp_path / "d", *kinds)), MaskOptions())
    for sample in settled.samples:
        assert decode_mask(sample.target, settled.coding, hw=(1, 3)).classes.tolist() == [[0, 1, 1]]


def disc(side: int = 64) -> np.ndarray:
    y, x = np.mgrid[:side, :side] - side / 2
    return np.hypot(y, x) < side / 3


def soft(image: Image.Image) -> Image.Image:
    return image.resize((96, 96), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("how", ["smoothed", "jpeg"])
@pytest.mark.parametrize("options", [MaskOptions(), MaskOptions(classes=["background", "disc"])])
def test_soft_edges_are_pointed_out_and_the_threshold_mends_them(
    how: str, options: MaskOptions, tmp_path: Path
) -> None:
    hard = Image.fromarray(np.where(disc(), 255, 0).astype(np.uint8))
    image = soft(hard) if how == "smoothed" else hard
    dataset = read_dataset(written(tmp_path / "d", image, ending="jpg" if how == "jpeg" else "png"))
    with pytest.raises(UserError, match=r"soft edges(.|\n)*masks\.coding=binary"):
        settle_masks(dataset, options)
    settled = settle_masks(dataset, MaskOptions(coding="binary"))
    decoded = decode_mask(settled.samples[0].target, settled.coding, hw=image.size[::-1])
    assert decoded.undeclared == {}
    expected = np.asarray(Image.fromarray(disc()).resize(image.size, Image.Resampling.NEAREST))
    assert (decoded.classes == expected).mean() > 0.98


def test_classes_by_number_are_no_soft_edges() -> None:
    """ADE20K's way: 0 to 150, the frequent ones first, and 255 for what does not count."""
    values = np.repeat(np.arange(151, dtype=np.uint8), np.arange(151, 0, -1) ** 2)
    settled = settle_masks(of(np.append(values, [255] * 300_000).astype(np.uint8)[None]), MaskOptions())
    assert len(settled.classes) == 151


def test_counting_from_1_is_pointed_out_and_the_line_mends_it() -> None:
    dataset, names = of(numbers(1, 2, 3, 255)), ["a", "b", "c"]
    with pytest.raises(UserError, match=r"run from 1 to 3(.|\n)*masks\.values=\[1, 2, 3\]"):
        settle_masks(dataset, MaskOptions(classes=names))
    rare = np.array([[1] * 2000 + [2] * 2000 + [3]], np.uint8)
    with pytest.raises(UserError, match="run from 1 to 3"):
        settle_masks(of(rare), MaskOptions(classes=names))
    settled = settle_masks(dataset, MaskOptions(classes=names, values=[1, 2, 3]))
    assert decode_mask(dataset.samples[0].target, settled.coding, hw=None).classes.tolist() == [[0, 1, 2, 255]]


def test_values_above_the_names_stop_unless_they_are_strays() -> None:
    with pytest.raises(UserError, match=r"values 2, 5 \(50.0% of pixels\) have no class(.|\n)*masks\.ignore=\[2, 5\]"):
        settle_masks(of(numbers(0, 1, 2, 5)), MaskOptions(classes=["a", "b"]))
    stray = np.zeros((100, 100), np.uint8)
    stray[0, 0], stray[1] = 9, 1
    assert "value 9: 1 pixels, in 1 masks, has no class: ignored" in texts(
        settle_masks(of(stray), MaskOptions(classes=["a", "b"]))
    )


def test_objects_by_number_are_no_classes() -> None:
    many = np.arange(400, dtype=np.int32).reshape(20, 20)
    image = np.zeros((20, 20, 3), np.uint8)
    image[..., 1], image[..., 2] = many // 256, many % 256
    with pytest.raises(UserError, match="400 colours or more"):
        settle_masks(of(image), MaskOptions())


def test_colours_without_a_table_are_classes_and_the_line_that_names_them_is_said() -> None:
    settled = settle_masks(of(colours(RED, BLUE, BLUE)), MaskOptions())
    assert settled.classes == ("#0000ff", "#ff0000")
    assert 'masks.values=["#0000ff", "#ff0000"]' in texts(settled)
    named = settle_masks(of(colours(RED, BLUE)), MaskOptions(classes=["roof", "pool"], values=["255,0,0", "#0000ff"]))
    assert (named.classes, named.coding.colours) == (("roof", "pool"), (RED, BLUE))


def test_names_without_colours_do_not_do_for_colours() -> None:
    with pytest.raises(UserError, match=r"names without colours\n.*masks\.values(.|\n)*\"#0000ff\", \"#ff0000\""):
        settle_masks(of(colours(RED, BLUE, BLUE)), MaskOptions(classes=["roof", "pool"]))


def test_palettes_that_disagree_are_colours(tmp_path: Path) -> None:
    """A palette made for each picture by itself: the same number is another colour each time."""
    images = [Image.fromarray(np.array([[0, 1]], np.uint8)) for _ in range(2)]
    images[0].putpalette([*RED, *BLUE])
    images[1].putpalette([*BLUE, *RED])
    settled = settle_masks(read_dataset(written(tmp_path / "d", *images)), MaskOptions())
    assert settled.coding.kind == "colour"
    decoded = [decode_mask(s.target, settled.coding, hw=(1, 2)).classes.tolist() for s in settled.samples]
    assert decoded == [[[1, 0]], [[0, 1]]]


def test_a_table_that_is_not_theirs_is_passed_over_or_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "d", Image.fromarray(colours(RED, BLUE, BLUE)))
    table = tmp_path / "d" / "class_colors.csv"
    table.write_text("name,r,g,b\nroof,255,0,0\npool,0,0,250\n")
    settled = settle_masks(read_dataset(source), MaskOptions())
    assert settled.classes == ("#0000ff", "#ff0000")
    assert "class_colors.csv is passed over: its colours are those of 33.3% of the pixels" in texts(settled)
    with pytest.raises(UserError, match=r"only 33.3% of the masks' pixels have a colour of class_colors.csv"):
        settle_masks(read_dataset(source), MaskOptions(classes=str(table)))


def test_grey_colours_of_a_table_are_colours(tmp_path: Path) -> None:
    source = written(tmp_path / "d", Image.fromarray(numbers(0, 128, 255, 255)))
    (tmp_path / "d" / "labelmap.txt").write_text("land:0,0,0::\nice:128,128,128::\nsea:255,255,255::\n")
    settled = settle_masks(read_dataset(source), MaskOptions())
    assert settled.classes == ("land", "ice", "sea")
    assert decode_mask(settled.samples[0].target, settled.coding, hw=None).classes.tolist() == [[0, 1, 2, 2]]


def test_classes_in_the_alpha_channel_are_pointed_out() -> None:
    with pytest.raises(UserError, match=r"transparency(.|\n)*alpha extract"):
        settle_masks(of(colours((0, 0, 0, 0), (0, 0, 0, 255))), MaskOptions())
    settled = settle_masks(of(colours((*RED, 255), (*BLUE, 255), (9, 9, 9, 0))), MaskOptions())
    assert settled.classes == ("#000000", "#0000ff", "#ff0000")
    assert "33.3% of pixels are transparent, in 1 masks: taken for black" in texts(settled)


def test_masks_in_which_nothing_counts_are_left_out() -> None:
    settled = settle_masks(of(numbers(0, 1), numbers(255, 255)), MaskOptions())
    assert [sample.name for sample in settled.samples] == ["0.png"]
    assert "1.png: left out: every pixel is ignored" in texts(settled)


def test_damaged_masks_are_left_out_unless_all_are(tmp_path: Path) -> None:
    source = written(tmp_path / "d", *(Image.fromarray(numbers(0, 1)) for _ in range(2)))
    (tmp_path / "d" / "masks" / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    settled = settle_masks(read_dataset(source), MaskOptions())
    assert [sample.name for sample in settled.samples] == ["images/1.png"]
    assert "images/0.png: left out: its mask 0.png: " in texts(settled)
    (tmp_path / "d" / "masks" / "1.png").write_bytes(b"")
    with pytest.raises(UserError, match="not one mask can be used"):
        settle_masks(read_dataset(source), MaskOptions())


def test_sizes_that_differ_are_counted_and_shown(tmp_path: Path) -> None:
    source = written(tmp_path / "d", *(Image.fromarray(np.zeros((4, 6), np.uint8)) for _ in range(3)))
    Image.new("RGB", (6, 5)).save(tmp_path / "d" / "images" / "1.png")
    with pytest.raises(UserError, match=r"1 of 3 masks differ .*images/1.png has 6 x 5 pixels and its mask 6 x 4"):
        settle_masks(read_dataset(source), MaskOptions())


def test_turned_photos_are_compared_upright(tmp_path: Path) -> None:
    source = written(tmp_path / "d", Image.fromarray(np.array([[0, 1], [0, 1], [1, 1]], np.uint8)))
    (tmp_path / "d" / "images" / "0.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (3, 2)).save(tmp_path / "d" / "images" / "0.jpg", exif=exif)
    assert len(settle_masks(read_dataset(source), MaskOptions()).samples) == 1


@pytest.mark.parametrize("values", [(0, 0), (255, 255), (3, 3)])
def test_masks_of_one_class_have_nothing_to_tell_apart(values: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="nothing to tell apart"):
        settle_masks(of(numbers(*values)), MaskOptions())


def test_values_and_classes_must_fit() -> None:
    with pytest.raises(UserError, match=r"masks\.values has 3 values, and masks\.classes 2 classes"):
        settle_masks(of(numbers(1, 2)), MaskOptions(classes=["a", "b"], values=[1, 2, 3]))
    with pytest.raises(UserError, match=r"masks\.values: 'red' is no colour"):
        settle_masks(of(numbers(1, 2)), MaskOptions(classes=["a", "b"], values=["red", "blue"]))


def test_a_formats_own_coding_is_kept_and_its_names_are_used_with_options() -> None:
    coding = MaskCoding("index", ((0,), (1,)), (255,), (BLACK, RED))
    shapes = Outlines((4, 4), (Outline(1, polygons=((1.0, 1.0, 3.0, 1.0, 3.0, 3.0, 1.0, 3.0),)),))
    sample = Sample("a.png", np.zeros((4, 4, 3), np.uint8), Mask(shapes))
    dataset = Dataset("nuts", "COCO masks", ("background", "date", "fig"), (sample,), coding=coding)
    assert settle_masks(dataset, MaskOptions()).coding == coding
    chosen = settle_masks(dataset, MaskOptions(ignore=["fig"]))
    assert (chosen.classes, chosen.problems) == (("background", "date"), ())


def test_masks_are_looked_at_once(tmp_path: Path) -> None:
    dataset = read_dataset(written(tmp_path / "d", Image.fromarray(numbers(0, 1))))
    told: list[str] = []
    for _ in range(2):
        settle_masks(dataset, MaskOptions(), lambda what, done, total: told.append(what))
    assert told.count("looking at masks") == 1
    Image.fromarray(numbers(0, 2)).save(tmp_path / "d" / "masks" / "0.png")
    assert settle_masks(dataset, MaskOptions()).classes == ("class 0", "class 1", "class 2")


VALUES = st.sampled_from([(0, 1), (0, 255), (1, 2, 3), (0, 1, 2, 7, 255), tuple(range(256))])
MASKS = st.one_of(
    VALUES.flatmap(lambda values: arrays.arrays(np.uint8, (3, 4), elements=st.sampled_from(values))),
    arrays.arrays(np.uint8, (3, 4, 3), elements=st.sampled_from([0, 90, 255])),
    arrays.arrays(np.uint8, (3, 4, 4), elements=st.sampled_from([0, 255])),
)
OPTIONS = st.builds(
    MaskOptions,
    coding=st.sampled_from(["auto", "index", "binary", "colour"]),
    classes=st.sampled_from(["auto", [], ["a"], ["a", "b"], ["a", "void", "c"], ["a", "a"]]),
    values=st.sampled_from([[], [], [0, 255], [1, 2, 3], ["#000000", "255,255,255"], ["no colour"]]),
    ignore=st.sampled_from(["auto", "auto", [], [0], ["a"], ["#000000"], [-1]]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MASKS, min_size=1, max_size=3), OPTIONS)
def test_any_masks_under_any_options_are_settled_or_answered(masks: list[np.ndarray], options: MaskOptions) -> None:
    try:
        settled = settle_masks(of(*masks), options)
    except UserError:
        return
    assert settled.coding is not None
    assert len(settled.classes) == len(settled.coding.values) == len(settled.coding.colours) >= 2
    assert len(settled.samples) + sum("left out" in problem.what for problem in settled.problems) == len(masks)
    seen = [decode_mask(sample.target, settled.coding, hw=(3, 4)) for sample in settled.samples]
    found = {index for decoded in seen for index in np.unique(decoded.classes)}
    assert len(found - {IGNORE}) >= 2
    assert found <= {*range(len(settled.classes)), IGNORE}
    assert any(decoded.undeclared for decoded in seen) <= ("has no class" in texts(settled))


DATA = os.environ.get("CONVOLVE_TEST_DATA")
real = pytest.mark.skipif(DATA is None, reason="CONVOLVE_TEST_DATA names no folder")


@real
def test_camvid() -> None:
    settled = settle_masks(read_dataset(f"{DATA}/camvid"), MaskOptions())
    assert (len(settled.classes), settled.classes[0], settled.classes[-1]) == (11, "sky", "bicyclist")
    assert settled.coding is not None
    assert (settled.coding.ignored, settled.problems) == ((255, 11), ())
    splits = [sample.split for sample in settled.samples]
    assert [splits.count(split) for split in ("train", "validation", "test")] == [367, 101, 233]


@real
def test_dubai() -> None:
    settled = settle_masks(read_dataset(f"{DATA}/dubai-aerial"), MaskOptions())
    assert settled.classes == ("building", "land", "road", "vegetation", "water")
    assert settled.coding is not None
    assert settled.coding.ignored == ((155, 155, 155),)
    assert "colour 0,0,0 (#000000): 0.6% of pixels, in 9 masks, has no class: ignored" in texts(settled)
    assert len({sample.group for sample in settled.samples}) == 8
    tile_2 = next(sample for sample in settled.samples if sample.group == "Tile 2")
    assert decode_mask(tile_2.target, settled.coding, hw=None).undeclared == {}
