import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from convolve.data.boxes.targets import CROWD, DIFFICULT, NOTHING, OBJECT
from convolve.networks.detection.matching import match


def rows(*boxes: tuple[float, ...]) -> torch.Tensor:
    """(m, 6) from (left, top, right, bottom, class, kind)."""
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)


def squares(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = 40 * torch.rand(count, 2, generator=generator)
    return torch.cat((corners, corners + 5 + 20 * torch.rand(count, 2, generator=generator)), dim=1)


def objects(boxes: torch.Tensor) -> torch.Tensor:
    return torch.cat((boxes, torch.zeros(len(boxes), 2)), dim=1)


def test_three_anchors_labelled_by_hand():
    # IoU with the object: 80 / 100 = .8, 40 / 160 = .25, 70 / 130 = .54.
    anchors = torch.tensor([[0.0, 0, 10, 8], [0, 6, 10, 16], [3, 0, 13, 10]])
    targets = rows((0, 0, 10, 10, 2, OBJECT))
    matched = match(anchors, targets, positive=0.7, negative=(0.0, 0.3))
    assert matched.positive.tolist() == [True, False, False]
    assert matched.negative.tolist() == [False, True, False]
    assert matched.objects.tolist() == [0, 0, 0]


def test_an_object_that_no_anchor_fits_gets_the_best_one():
    anchors = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [20, 20, 31, 31]])
    targets = rows((24, 24, 34, 34, 0, OBJECT), (0, 0, 10, 10, 1, OBJECT))
    without = match(anchors, targets, positive=0.7, negative=(0.0, 0.3))
    assert without.positive.tolist() == [True, False, False]
    matched = match(anchors, targets, positive=0.7, negative=(0.0, 0.3), best_of_each=True)
    assert matched.positive.tolist() == [True, False, True]
    assert matched.negative.tolist() == [False, True, False]
    assert matched.objects[[0, 2]].tolist() == [1, 0]


def test_all_anchors_that_are_equally_best_are_taken():
    anchors = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10], [30, 30, 40, 40]])
    matched = match(anchors, rows((5, 0, 15, 10, 0, OBJECT)), positive=0.7, negative=(0.0, 0.3), best_of_each=True)
    assert matched.positive.tolist() == [True, True, False]


def test_an_object_that_no_anchor_touches_forces_none():
    anchors = torch.tensor([[0.0, 0, 10, 10], [10, 0, 20, 10]])
    matched = match(anchors, rows((50, 50, 60, 60, 0, OBJECT)), positive=0.7, negative=(0.0, 0.3), best_of_each=True)
    assert not matched.positive.any()
    assert matched.negative.all()


@given(st.integers(0, 10_000), st.integers(1, 6), st.booleans())
def test_the_same_labels_as_torchvision(seed, count, best_of_each):
    anchors, truths = squares(60, seed), squares(count, seed + 1)
    overlaps = box_iou(truths, anchors)
    truths, overlaps = truths[overlaps.amax(dim=1) > 0], overlaps[overlaps.amax(dim=1) > 0]
    if not len(truths):
        return
    theirs = Matcher(0.6, 0.3, allow_low_quality_matches=best_of_each)(overlaps)
    ours = match(anchors, objects(truths), positive=0.6, negative=(0.0, 0.3), best_of_each=best_of_each)
    assert ours.positive.tolist() == (theirs >= 0).tolist()
    assert ours.negative.tolist() == (theirs == Matcher.BELOW_LOW_THRESHOLD).tolist()
    good = ours.positive & (overlaps.amax(dim=0) >= 0.6)
    if not best_of_each:
        assert ours.objects[good].tolist() == theirs[good].tolist()


@given(st.integers(0, 10_000))
def test_every_object_has_an_anchor_when_each_gets_its_best(seed):
    anchors = squares(200, seed)
    truths = squares(1, seed + 1)
    matched = match(anchors, objects(truths), positive=0.99, negative=(0.0, 0.3), best_of_each=True)
    best = box_iou(anchors, truths)[:, 0]
    assert matched.positive.any() == (best.max() > 0)
    if matched.positive.any():
        assert best[matched.positive].min() == best.max()


def test_background_from_a_least_overlap_on():
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 8, 10, 18], [40, 40, 50, 50]])
    matched = match(anchors, rows((0, 0, 10, 10, 0, OBJECT)), positive=0.5, negative=(0.1, 0.5))
    assert matched.negative.tolist() == [False, True, False]


def test_without_objects_everything_is_background():
    for targets in (rows(), rows((0, 0, 0, 0, 0, NOTHING))):
        matched = match(squares(9, 0), targets, positive=0.5, negative=(0.0, 0.5), best_of_each=True)
        assert matched.negative.all()
        assert not matched.positive.any()
        assert matched.objects.tolist() == [0] * 9


@given(st.integers(0, 10_000), st.sampled_from([CROWD, DIFFICULT]), st.integers(0, 3))
def test_what_a_crowd_or_a_difficult_object_half_covers_is_never_background(seed, kind, count):
    anchors, truths, ignored = squares(80, seed), squares(count, seed + 1), squares(2, seed + 2)
    extra = torch.cat((ignored, torch.tensor([[0.0, kind]] * 2)), dim=1)
    plain = match(anchors, objects(truths), positive=0.5, negative=(0.0, 0.5), best_of_each=True)
    with_crowd = match(
        anchors, torch.cat((extra, objects(truths))), positive=0.5, negative=(0.0, 0.5), best_of_each=True
    )
    for number, (left, top, right, bottom) in enumerate(anchors.tolist()):
        covered = any(
            max(0, min(right, r) - max(left, x)) * max(0, min(bottom, b) - max(top, y))
            >= 0.5 * (right - left) * (bottom - top) + 1e-3
            for x, y, r, b in ignored.tolist()
        )
        assert not (covered and with_crowd.negative[number])
    # It takes from the background and from nothing else; rows are counted with it.
    assert with_crowd.positive.tolist() == plain.positive.tolist()
    assert not (with_crowd.negative & ~plain.negative).any()
    assert (with_crowd.objects - 2)[plain.positive].tolist() == plain.objects[plain.positive].tolist()


@given(st.integers(0, 10_000))
def test_nothing_is_both_and_rows_that_fill_up_change_nothing(seed):
    anchors, truths = squares(60, seed), objects(squares(4, seed + 1))
    filled = torch.cat((truths, rows(*[(0, 0, 50, 50, 0, NOTHING)] * 3)))
    once, again = (
        match(anchors, targets, positive=0.5, negative=(0.0, 0.4), best_of_each=True) for targets in (truths, filled)
    )
    assert not (once.positive & once.negative).any()
    for first, second in zip(once, again, strict=True):
        assert first.tolist() == second.tolist()
