from itertools import pairwise

import pytest
import torch
from torchvision.ops import box_iou

from convolve.data.boxes.targets import OBJECT, stack_rows
from convolve.networks.architectures.residual import residual
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.building import build_detector
from convolve.networks.detection.detector import Limits, Seen
from convolve.networks.detection.one_stage import OneStageDetector
from convolve.networks.detectors.onestage import finest_stride, sizes_of_maps

HEADS = ("retinanet", "fcos", "ssdlite")
SHAPES = AnchorShapes(sizes=(16.0, 32.0), ratios=(0.5, 1.0, 2.0))


def small(head: str, **options) -> OneStageDetector:
    torch.manual_seed(0)
    network = residual(2, channels=3, image_hw=(64, 64), depth=14, width=8)
    return build_detector(
        "onestage",
        {"head": head, "width": 32} | options,
        network,
        classes=2,
        channels=3,
        image_hw=(64, 64),
        anchors=SHAPES,
    )


def drawn(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of 64 x 64 with bright (class 0) and dark (class 1) rectangles on grey noise, and their boxes."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.1 * torch.randn(count, 3, 64, 64, generator=generator)
    rows = []
    for image in images:
        of_image = []
        for label, left in ((0, 2), (1, 34)):
            x, y = (
                left + int(torch.randint(8, (), generator=generator)),
                int(torch.randint(36, (), generator=generator)),
            )
            width, height = (int(side) for side in torch.randint(14, 22, (2,), generator=generator))
            image[:, y : y + height, x : x + width] += 2.0 - 4.0 * label
            of_image.append([x, y, x + width, y + height, label, OBJECT])
        rows.append(torch.tensor(of_image, dtype=torch.float32))
    return images, stack_rows(rows)


def sizes(images: torch.Tensor) -> torch.Tensor:
    return torch.tensor([images.shape[2:]] * len(images))


@pytest.mark.parametrize("head", HEADS)
def test_a_few_images_are_learned_by_heart(head):
    detector = small(head).train()
    images, targets = drawn(2, 1)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        losses = detector(images, sizes(images))(targets)
        assert all(part.shape == (2,) for part in losses.values())
        torch.stack(list(losses.values())).sum(dim=0).mean().backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
        optimizer.step()
    detector.eval()
    with torch.no_grad():
        found = detector.detect(Seen(detector.dense(images), (64, 64), sizes(images), None))
    for image, rows in zip(found, targets, strict=True):
        best = image.boxes[:2], image.labels[:2]
        assert sorted(best[1].tolist()) == [0, 1]
        for box, label in zip(*best, strict=True):
            truth = rows[rows[:, 4] == label, :4]
            assert box_iou(box[None], truth).item() > 0.5


@pytest.mark.parametrize("head", HEADS)
def test_a_gradient_reaches_every_parameter(head):
    detector = small(head).train()
    images, targets = drawn(2, 2)
    torch.stack(list(detector(images, sizes(images))(targets).values())).sum().backward()
    without = [name for name, parameter in detector.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert without == []


@pytest.mark.parametrize("head", HEADS)
def test_rows_of_the_test_mode_are_what_detect_finds(head):
    detector = small(head).eval()
    detector.limits = Limits(min_probability=0.001, max_boxes=7)
    images, _ = drawn(2, 3)
    hw = torch.tensor([[64, 64], [40, 50]])
    with torch.no_grad():
        rows = detector(images, hw)
        found = detector.detect(Seen(detector.dense(images), (64, 64), hw, None))
    assert rows.shape == (2, 7, 6)
    assert len(found[0].boxes) == 7
    for of_image, image, (height, width) in zip(rows, found, hw.tolist(), strict=True):
        count = len(image.boxes)
        assert of_image[:count, :4].tolist() == image.boxes.tolist()
        assert of_image[:count, 5].tolist() == image.probabilities.tolist()
        assert (of_image[:count, 5].diff() <= 0).all()
        assert (of_image[count:] == 0).all()
        assert image.boxes.min() >= 0
        assert (image.boxes[:, 2] <= width).all()
        assert (image.boxes[:, 3] <= height).all()


@pytest.mark.parametrize("head", HEADS)
def test_proposals_are_ordered_and_hold_what_is_found(head):
    detector = small(head).eval()
    images, _ = drawn(2, 3)
    with torch.no_grad():
        seen = Seen(detector.dense(images), (64, 64), sizes(images), None)
        proposed, found = detector.propose(seen), detector.detect(seen)
    for boxes, image in zip(proposed, found, strict=True):
        assert len(boxes) >= len(image.boxes) > 0
        assert boxes[0].tolist() == image.boxes[0].tolist()
        known = {tuple(box) for box in boxes.tolist()}
        assert all(tuple(box) in known for box in image.boxes.tolist())


@pytest.mark.parametrize("head", HEADS)
def test_padding_neither_costs_nor_shows(head):
    detector = small(head).eval()
    images, targets = drawn(2, 4)
    wide = torch.nn.functional.pad(images, (0, 64, 0, 32))
    with torch.no_grad():
        seen = Seen(detector.dense(wide), (96, 128), sizes(images), None)
        before = detector.losses(seen, targets)
        # What is said of places in the padding may be anything.
        for level, lattice in zip(seen.maps, detector.head.lattices, strict=True):
            level[:, :, 64 // lattice.stride :] = 9.0
            level[:, :, :, 64 // lattice.stride :] = 9.0
        after = detector.losses(seen, targets)
    for part, loss in before.items():
        torch.testing.assert_close(after[part], loss, rtol=0, atol=0)


@pytest.mark.parametrize("head", HEADS)
def test_no_pixel_beyond_the_reach_is_seen(head):
    detector = small(head, depth=1).double().eval()
    image = torch.randn(1, 3, 32, 2 * detector.reach + 65, dtype=torch.float64, requires_grad=True)
    maps = detector.dense(image)
    column = detector.reach + 32
    for level, lattice in zip(maps, detector.head.lattices, strict=True):
        place = round((column - lattice.centre) / lattice.stride)
        image.grad = None
        level[..., place].sum().backward(retain_graph=True)
        seen = image.grad.abs().sum(dim=(0, 1, 2)).nonzero()
        centre = lattice.centre + lattice.stride * place
        assert max(centre - seen.min().item(), seen.max().item() - centre) <= detector.reach


@pytest.mark.parametrize("head", HEADS)
def test_weights_go_to_another_detector_and_back(head):
    detector, other = small(head).eval(), small(head).eval()
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter)
    other.load_state_dict(detector.state_dict())
    images, _ = drawn(1, 5)
    with torch.no_grad():
        for one, same in zip(detector.dense(images), other.dense(images), strict=True):
            assert torch.equal(one, same)
    # Every tensor is there once.
    pointers = [tensor.data_ptr() for tensor in detector.state_dict().values() if tensor.numel()]
    assert len(set(pointers)) == len(pointers)


@pytest.mark.parametrize("head", HEADS)
def test_the_dense_part_can_be_exported(head):
    detector = small(head).eval()
    image = torch.randn(1, 3, 64, 96)
    exported = torch.export.export(detector.dense, (image,)).module()
    with torch.no_grad():
        for one, same in zip(detector.dense(image), exported(image), strict=True):
            torch.testing.assert_close(one, same)


def test_the_papers_anchor_sizes():
    powers = [[side * 2 ** (third / 3) for third in range(3)] for side in (32, 64, 128, 256, 512)]
    for ours, theirs in zip(sizes_of_maps([32.0, 512.0], 5), powers, strict=True):
        assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(("asked", "maps"), [((10.0,), 1), ((10.0, 900.0), 2), ((7.0, 33.0, 90.0), 4), ((5.0, 5.1), 3)])
def test_sizes_of_maps_reach_from_the_smallest_to_the_largest(asked, maps):
    found = sizes_of_maps(asked, maps)
    assert [len(of_map) for of_map in found] == [3] * maps
    series = [size for of_map in found for size in of_map]
    assert series[0] == min(asked)
    assert series[-1] >= max(asked) * 0.999999
    steps = [after / before for before, after in pairwise(series)]
    assert max(steps) == pytest.approx(min(steps))
    assert min(steps) >= 1.2599


@pytest.mark.parametrize(
    ("smallest", "strides", "finest"),
    [
        (32, (2, 4, 8, 16, 32), 8),
        (40, (2, 4, 8, 16, 32), 8),
        (64, (4, 8, 16), 16),
        (5, (2, 4, 8), 4),
        (900, (4, 32), 32),
        (9, (2,), 2),
    ],
)
def test_the_finest_map_by_the_smallest_size(smallest, strides, finest):
    assert finest_stride((smallest, 2 * smallest), strides) == finest


@pytest.mark.parametrize("head", HEADS)
def test_nothing_is_said_of_places_on_padding(head):
    detector = small(head).eval()
    detector.limits = Limits(min_probability=0.0)
    images, _ = drawn(1, 3)
    with torch.no_grad():
        seen = Seen(detector.dense(images), (64, 64), torch.tensor([[16, 24]]), None)
        proposed = detector.propose(seen)[0]
    # Of the stride of 4 pixels; fcos has one reference a place, the others three sizes in three shapes.
    at_most = (16 // 4) * (24 // 4) * (1 if head == "fcos" else 9) * detector.classes
    assert 0 < len(proposed) <= at_most
