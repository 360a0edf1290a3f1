import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convolve.data.boxes.checking import AnnotatedImage, Corners, StatedBox, boxes_dataset
from convolve.data.boxes.targets import box_rows
from convolve.data.dataset import Box, Boxes, Dataset, Note, Problem
from convolve.errors import UserError

HW = (6, 8)


def picture(path: Path, hw: tuple[int, int] = HW, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.zeros(hw, np.uint8)).save(path, exif=exif)
    return path


def annotated(image: Path, *corners: Corners, wh: tuple[int, int] | None = None, **more: bool) -> AnnotatedImage:
    boxes = [StatedBox("nut", some, f"a.txt, line {number}") for number, some in enumerate(corners, start=1)]
    return AnnotatedImage(image.name, image, boxes, "a.txt", wh=wh, **more)


def check(*images: AnnotatedImage, classes: tuple[str, ...] = ("nut",)) -> Dataset:
    return boxes_dataset(name="data", form="boxes", classes=classes, images=images)


def objects(dataset: Dataset, row: int = 0) -> tuple[Box, ...]:
    target = dataset.samples[row].target
    assert isinstance(target, Boxes)
    return target.objects


def only(problems: tuple[Problem, ...]) -> Problem:
    (problem,) = problems
    return problem


def test_a_sound_box_is_left_as_it_is(tmp_path: Path) -> None:
    dataset = check(annotated(picture(tmp_path / "a.png"), (0.5, 1, 8, 6), wh=(8, 6)))
    assert objects(dataset) == (Box(0, (0.5, 1, 8, 6)),)
    assert dataset.samples[0].target.hw == HW
    assert dataset.problems == ()
    assert dataset.has_boxes


@pytest.mark.parametrize(
    ("stated", "kept", "kind", "words"),
    [
        ((5, 4, 1, 2), (1, 2, 5, 4), Note, "wrong order"),
        ((5, 2, 1, 4), (1, 2, 5, 4), Note, "wrong order"),
        ((-3, 1, 4, 9), (0, 1, 4, 6), Note, "beyond the image"),
        ((1, 1, 1.5, 4), (1, 1, 1.5, 4), Note, "less than a pixel"),
        ((2, 2, 2, 5), None, Problem, "no area"),
        ((2, 2, 5, 2), None, Problem, "no area"),
        ((8, 0, 12, 4), None, Problem, "outside the image"),
        ((1, -9, 5, 0), None, Problem, "outside the image"),
        ((1e300, 1e300, 1.5e300, 1.5e300), None, Problem, "outside the image"),
    ],
)
def test_an_odd_box_is_mended_or_dropped_and_told(
    stated: Corners, kept: Corners | None, kind: type[Problem], words: str, tmp_path: Path
) -> None:
    dataset = check(annotated(picture(tmp_path / "a.png"), (0, 0, 3, 3), stated))
    assert objects(dataset) == ((Box(0, (0, 0, 3, 3)), Box(0, kept)) if kept else (Box(0, (0, 0, 3, 3)),))
    problem = only(dataset.problems)
    assert type(problem) is kind
    assert problem.where == "a.txt, line 2"
    assert words in problem.what


def test_rounding_at_the_border_is_not_worth_a_word(tmp_path: Path) -> None:
    dataset = check(annotated(picture(tmp_path / "a.png"), (-0.3, 0, 8.4, 6)))
    assert objects(dataset) == (Box(0, (0, 0, 8, 6)),)
    assert dataset.problems == ()


number = st.floats(-20, 30) | st.sampled_from([0.0, 6.0, 8.0])


@given(st.lists(st.tuples(number, number, number, number), min_size=1, max_size=20))
def test_what_is_kept_lies_in_the_image_and_in_the_stated_box(
    tmp_path_factory: pytest.TempPathFactory, stated: list[Corners]
) -> None:
    image = picture(tmp_path_factory.mktemp("images") / "a.png")
    dataset = check(annotated(image, (0, 0, 8, 6), *stated))
    kept = objects(dataset)
    assert kept[0].corners == (0, 0, 8, 6)
    for one in kept[1:]:
        left, top, right, bottom = one.corners
        assert 0 <= left < right <= 8
        assert 0 <= top < bottom <= 6
        assert any(
            min(x0, x1) <= left and right <= max(x0, x1) and min(y0, y1) <= top and bottom <= max(y0, y1)
            for x0, y0, x1, y1 in stated
        )
    inside = [some for some in stated if min(some) >= 0 and max(some[::2]) <= 8 and max(some[1::2]) <= 6]
    large = [some for some in inside if abs(some[0] - some[2]) >= 1 and abs(some[1] - some[3]) >= 1]
    assert len(kept) - 1 >= len(large)
    rows = box_rows(dataset.samples[0].target)
    assert bool((rows[:, 2:4] > rows[:, :2]).all())  # in float32 as well


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_stop_it_with_their_place(bad: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.txt, line 2: the box is 1, 2, (nan|-?inf), 4: not finite"):
        check(annotated(picture(tmp_path / "a.png"), (0, 0, 3, 3), (1, 2, bad, 4)))


def test_a_class_that_is_not_listed_stops_it_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)line 1: no class 'nut'.*Did you mean 'nuts'"):
        check(annotated(picture(tmp_path / "a.png"), (0, 0, 3, 3)), classes=("nuts", "figs"))


def test_a_file_of_another_size_stops_it_with_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.txt: 'a\.png' has 8 x 6 pixels .* not 16 x 12"):
        check(annotated(picture(tmp_path / "a.png"), (0, 0, 3, 3), wh=(16, 12)))


def test_a_photo_that_its_note_turns_is_measured_upright_and_the_error_says_so(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.jpg", orientation=6)
    assert check(annotated(image, (0, 0, 6, 8), wh=(6, 8))).samples[0].target.hw == (8, 6)
    with pytest.raises(UserError, match=r"(?s)has 6 x 8 pixels .* not 8 x 6.*EXIF"):
        check(annotated(image, (0, 0, 3, 3), wh=(8, 6)))


def test_a_size_of_zero_was_not_written(tmp_path: Path) -> None:
    dataset = check(annotated(picture(tmp_path / "a.png"), (0, 0, 8, 6), wh=(0, 0)))
    assert objects(dataset) == (Box(0, (0, 0, 8, 6)),)


def test_shares_are_of_the_upright_image(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.jpg", orientation=8)  # 6 wide, 8 high
    assert objects(check(annotated(image, (0.5, 0.25, 1, 0.5), relative=True))) == (Box(0, (3, 2, 6, 4)),)


def test_an_image_in_two_annotations_stops_it(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a\.txt: image 'a\.png' is annotated in a\.txt already"):
        check(annotated(image, (0, 0, 3, 3)), annotated(image, (0, 0, 3, 3)))


def test_images_without_boxes_and_classes_without_boxes_are_noted(tmp_path: Path) -> None:
    images = [annotated(picture(tmp_path / f"{number}.png")) for number in range(5)]
    images.append(annotated(picture(tmp_path / "x.png"), (0, 0, 3, 3)))
    dataset = check(*images, classes=("fig", "nut", "date"))
    assert len(dataset.samples) == 6
    negatives, bare = dataset.problems
    assert isinstance(negatives, Note)
    assert negatives.where == "0.png, 1.png, 2.png and 2 more"
    assert "(5 in all)" in negatives.what
    assert isinstance(bare, Note)
    assert bare.what == "2 of 3 have no box: 'fig', 'date'"


def test_an_image_that_cannot_be_measured_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"none")
    dataset = check(
        annotated(tmp_path / "broken.png", (0, 0, 1, 1)), annotated(picture(tmp_path / "a.png"), (0, 0, 3, 3))
    )
    assert [sample.name for sample in dataset.samples] == ["a.png"]
    assert only(dataset.problems).where == "broken.png"


def test_thousands_of_oddities_make_one_line_and_thousands_of_boxes_are_read(tmp_path: Path) -> None:
    many = [(0.0, 0.0, 1 + number % 7, 9.0) for number in range(2000)]
    dataset = check(annotated(picture(tmp_path / "a.png"), *many))
    assert len(objects(dataset)) == 2000
    told = only(dataset.problems)
    assert told.where == "a.txt, line 1; a.txt, line 2; a.txt, line 3 and 1,997 more"
    assert told.what.endswith("(2,000 in all)")


def test_when_every_box_is_wrong_it_stops(tmp_path: Path) -> None:
    image = picture(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"(?s)not one of 2 boxes can be used: a\.txt, line 1.*pixels.*shares"):
        check(annotated(image, (100, 100, 200, 200), (300, 300, 400, 400), relative=True))
