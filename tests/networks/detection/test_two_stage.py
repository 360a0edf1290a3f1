import math

import pytest
import torch
from torch import nn
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.ops import box_iou

from convolve.data.boxes.targets import CROWD, DIFFICULT, NOTHING, OBJECT
from convolve.networks.architectures.residual import residual
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.box_coding import encode
from convolve.networks.detection.detection_losses import region_losses
from convolve.networks.detection.detector import Limits, Seen, stacked
from convolve.networks.detection.region_heads import RegionHead
from convolve.networks.detection.region_proposals import GivenRegions
from convolve.networks.detection.region_sampling import BOX_DEVIATIONS, RegionSampling, RegionTargets
from convolve.networks.detection.two_stage import TwoStageDetector, portions
from convolve.networks.detectors.fast import fast
from convolve.networks.detectors.faster import faster

CLASSES = 3
TRUTH = torch.tensor([[10.0, 12.0, 50.0, 40.0], [30.0, 5.0, 70.0, 60.0], [2.0, 50.0, 22.0, 62.0]])
LABELS = torch.tensor([2, 0, 1])
HW = torch.tensor([[64, 80]])


def rows_of(boxes, labels, kind=OBJECT):
    return torch.cat((boxes, labels[:, None].float(), torch.full((len(boxes), 1), float(kind))), dim=1)


def small(build, **options):
    torch.manual_seed(0)
    network = residual(2, channels=3, image_hw=(64, 64), depth=8, width=8)
    anchors = AnchorShapes(sizes=(16.0, 32.0), ratios=(1.0,))
    place = {"classes": CLASSES, "channels": 3, "image_hw": (64, 64), "anchors": anchors}
    return build(network, **place, width=16, head_width=32, **options)


class Coordinates(nn.Module):
    """Features of regions that are the regions themselves."""

    def forward(self, maps, image_hw, boxes):
        return torch.cat(list(boxes))[:, :, None, None]


def reading_coordinates(sampling=None, **options):
    return TwoStageDetector(
        classes=CLASSES,
        dense=nn.Identity(),
        proposals=GivenRegions(),
        features=Coordinates(),
        region_head=RegionHead(nn.Flatten(), features=4, classes=CLASSES),
        sampling=sampling or RegionSampling(),
        **options,
    )


def perfect(features):
    """What a perfect head says of regions: their object's class, and where it is; background where there is none."""
    regions = features[:, :, 0, 0]
    overlap, nearest = box_iou(regions, TRUTH).max(dim=1)
    outputs = torch.zeros(len(regions), 1 + 5 * CLASSES)
    right = torch.where(overlap >= 0.4, LABELS[nearest] + 1, 0)
    outputs[torch.arange(len(regions)), right] = 10 + 5 * overlap
    offsets = encode(TRUTH[nearest], regions, deviations=BOX_DEVIATIONS)
    for row, label in enumerate(LABELS[nearest]):
        outputs[row, 1 + CLASSES + 4 * label :][:4] = offsets[row]
    return outputs


def around_the_truth():
    generator = torch.Generator().manual_seed(0)
    return (TRUTH.repeat(30, 1) + torch.randn(90, 4, generator=generator) * 4)[None]


def test_perfect_outputs_detect_the_truth():
    detector = reading_coordinates().eval()
    [found] = detector.detect(Seen((), (64, 80), HW, around_the_truth()), run_regions=perfect)
    order = found.boxes[:, 0].argsort()
    torch.testing.assert_close(found.boxes[order], TRUTH[[2, 0, 1]], atol=1e-3, rtol=0)
    assert found.labels[order].tolist() == [1, 2, 0]
    assert (found.probabilities > 0.99).all()
    assert (found.probabilities.diff() <= 0).all()


def test_portions_change_nothing():
    detector = reading_coordinates(portion=7).eval()
    regions = torch.cat((around_the_truth(), around_the_truth().flip(1) * 0.9, torch.zeros(1, 90, 4)))
    seen = Seen((), (64, 80), HW.repeat(3, 1), regions)
    sizes = []

    def counted(features):
        sizes.append(len(features))
        return perfect(features)

    small_portions = detector.detect(seen, run_regions=counted)
    assert max(sizes) == 7
    assert sum(sizes) == sum(len(boxes) for boxes in detector.propose(seen))
    detector.portion = 1000
    for one, other in zip(small_portions, detector.detect(seen, run_regions=perfect), strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))


def test_portions_keep_the_images_apart():
    boxes = [torch.rand(count, 4) for count in (5, 0, 3, 1)]
    parts = list(portions(boxes, 4))
    assert [[len(some) for some in part] for part in parts] == [[4, 0, 0, 0], [1, 0, 3, 0], [0, 0, 0, 1]]
    for number, some in enumerate(boxes):
        assert torch.equal(torch.cat([part[number] for part in parts]), some)
    assert [len(part) for part in portions(boxes[1:2], 4)] == [1]


def test_detections_are_stacked_in_rows():
    detector = reading_coordinates().eval()
    detector.limits = Limits(max_boxes=2)
    [found] = detector.detect(Seen((), (64, 80), HW, around_the_truth()), run_regions=perfect)
    rows = stacked([found, found._replace(**{name: value[:1] for name, value in found._asdict().items()})], 2)
    assert rows.shape == (2, 2, 6)
    assert torch.equal(rows[0, :, :4], found.boxes)
    assert rows[0, :, 4].tolist() == found.labels.tolist()
    assert torch.equal(rows[0, :, 5], found.probabilities)
    assert torch.equal(rows[1, 0], rows[0, 0])
    assert (rows[1, 1] == 0).all()


def test_margins_become_probabilities_by_the_logistic_function():
    detector = reading_coordinates()
    outputs = torch.tensor([[50.0, 0.0, math.log(3), -math.log(3), *[0.0] * 12]])
    assert detector.probabilities(outputs)[0].max() < 1e-6
    detector.classifier_scores = "svm"
    torch.testing.assert_close(detector.probabilities(outputs), torch.tensor([[0.5, 0.75, 0.25]]))


def sampled_targets(seed=0, counts=(24, 24)):
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for count in counts:
        labels = torch.randint(0, CLASSES + 1, (count,), generator=generator)
        offsets = torch.randn(count, 4, generator=generator) * (labels > 0)[:, None]
        drawn.append(RegionTargets(torch.zeros(count, 4), labels, offsets))
    return drawn, torch.randn(sum(counts), 1 + 5 * CLASSES, generator=generator)


def test_the_losses_are_torchvisions_on_the_same_regions():
    targets, outputs = sampled_targets()
    logits, offsets = outputs[:, : CLASSES + 1], outputs[:, CLASSES + 1 :]
    labels, wanted = [one.labels for one in targets], [one.offsets for one in targets]
    # torchvision has offsets of the background as well; and a smooth L1 that is quadratic up to 1/9, ours up to 1, as
    # in the paper: smooth L1 with b of x is b times that with 1 of x / b.
    theirs = torch.cat((torch.zeros(len(offsets), 4), offsets / 9), dim=1)
    classes, boxes = fastrcnn_loss(logits, theirs, labels, [one / 9 for one in wanted])
    ours = region_losses(outputs, targets)
    torch.testing.assert_close(ours["classes"].mean(), classes)
    torch.testing.assert_close(ours["boxes"].mean(), boxes * 9)


def test_the_gradient_of_the_multi_task_loss_is_that_of_finite_differences():
    targets, outputs = sampled_targets(counts=(5, 3))

    def total(outputs):
        return sum(loss.sum() for loss in region_losses(outputs, targets).values())

    assert torch.autograd.gradcheck(total, outputs.double().requires_grad_())


@pytest.mark.parametrize("build", [fast, faster])
def test_the_gradient_of_a_whole_detector_is_that_of_finite_differences(build):
    detector = small(build, pooling="roi_align").double().eval()
    images = torch.randn(1, 3, 64, 80, dtype=torch.float64)
    targets = rows_of(TRUTH, LABELS)[None].double()
    regions = around_the_truth()[:, :20].double()
    # The regions are constants to the gradient, so that what makes them must stand still: all is moved where they are
    # given, and the head alone where they are found.
    moved = [*(detector.parameters() if build is fast else detector.region_head.parameters())]
    step = [torch.randn_like(parameter) * 1e-6 for parameter in moved]

    def total():
        torch.manual_seed(1)
        seen = Seen(detector.dense(images), (64, 80), HW, regions)
        return sum(loss.sum() for loss in detector.losses(seen, targets).values())

    slopes = torch.autograd.grad(total(), moved)
    expected = sum((slope * own).sum() for slope, own in zip(slopes, step, strict=True))
    with torch.no_grad():
        ends = []
        for sign in (1, -2):
            for parameter, own in zip(moved, step, strict=True):
                parameter += sign * own
            ends.append(total())
    torch.testing.assert_close((ends[0] - ends[1]) / 2, expected, rtol=1e-4, atol=0)


def draw(sampling, boxes, targets):
    drawn = sampling.draw(boxes, targets, HW[0])
    objects = targets[targets[:, 5] == OBJECT, :4]
    overlaps = box_iou(drawn.regions, objects).amax(dim=1) if len(objects) else torch.zeros(len(drawn.regions))
    return drawn, overlaps


def test_a_quarter_of_the_regions_show_objects_and_the_objects_are_among_them():
    targets = rows_of(TRUTH, LABELS)
    far = torch.rand(500, 2) * torch.tensor([60.0, 40.0])
    boxes = torch.cat((around_the_truth()[0], torch.cat((far, far + 15), dim=1)))
    drawn, overlaps = draw(RegionSampling(count=64), boxes, targets)
    assert len(drawn.labels) == 64
    assert (drawn.labels > 0).sum() == 16
    assert ((overlaps >= 0.5) == (drawn.labels > 0)).all()
    assert torch.equal(drawn.regions.unique(dim=0), drawn.regions[drawn.regions[:, 0].argsort()].unique(dim=0))
    alone, _ = draw(RegionSampling(), boxes[:0], targets)
    torch.testing.assert_close(alone.regions[alone.labels.argsort()], TRUTH[LABELS.argsort()])
    assert (alone.offsets == 0).all()


def test_hard_background_comes_first_and_easy_background_fills_up():
    targets = rows_of(TRUTH[:1], LABELS[:1])
    hard = TRUTH[:1] + torch.tensor([[0.0, 0.0, shift, 80.0] for shift in range(20)])
    easy = torch.tensor([[60.0, 0.0, 70.0, 10.0]]) + torch.rand(50, 1) * 9
    sampling = RegionSampling(count=30, background_iou=0.1)
    _, overlaps = draw(sampling, torch.cat((easy, hard)), targets)
    assert len(overlaps) == 30
    # The object, all that are hard, and as many others as are missing.
    assert ((overlaps >= 0.1) & (overlaps < 0.5)).sum() == 20
    assert (overlaps < 0.1).sum() == 9


@pytest.mark.parametrize("kind", [DIFFICULT, CROWD])
def test_what_does_not_count_is_neither_object_nor_background(kind):
    targets = torch.cat((rows_of(TRUTH[:1], LABELS[:1]), rows_of(TRUTH[1:], LABELS[1:], kind)))
    drawn, _ = draw(RegionSampling(), torch.cat((TRUTH, torch.tensor([[71.0, 0.0, 80.0, 9.0]]))), targets)
    assert sorted(drawn.labels.tolist()) == [0, LABELS[0] + 1, LABELS[0] + 1]
    assert (box_iou(drawn.regions, TRUTH[1:]) < 0.5).all()


@pytest.mark.parametrize("build", [fast, faster])
@pytest.mark.parametrize("kind", [NOTHING, DIFFICULT, CROWD])
def test_images_without_objects_or_regions_have_finite_losses_and_gradients(build, kind):
    detector = small(build).train()
    images = torch.randn(2, 3, 64, 80)
    targets = rows_of(torch.tensor([[0.0, 0.0, 80.0, 64.0]]), torch.tensor([1]), kind).repeat(2, 1, 1)
    losses = detector(images, HW.repeat(2, 1), torch.zeros(2, 1, 4))(targets)
    assert set(losses) == {"classes", "boxes"} | ({"objectness", "proposal_boxes"} if build is faster else set())
    for loss in losses.values():
        assert loss.shape == (2,)
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
    sum(loss.sum() for loss in losses.values()).backward()
    assert all(parameter.grad is not None for parameter in detector.parameters())
    assert all(parameter.grad.isfinite().all() for parameter in detector.parameters())
    everything_ignored = all(parameter.grad.abs().sum() == 0 for parameter in detector.region_head.parameters())
    assert everything_ignored == (kind != NOTHING)


@pytest.mark.parametrize("build", [fast, faster])
def test_images_are_seen_alike_alone_and_in_a_batch(build):
    detector = small(build).eval()
    detector.limits = Limits(min_probability=0.0)
    images, regions = torch.randn(3, 3, 64, 80), around_the_truth().repeat(3, 1, 1)
    with torch.no_grad():
        together = detector(images, HW.repeat(3, 1), regions)
        alone = torch.cat([detector(images[row : row + 1], HW, regions[:1]) for row in range(3)])
    assert together.shape == (3, 100, 6)
    torch.testing.assert_close(together[:, :, 5], alone[:, :, 5], atol=1e-5, rtol=0)
    torch.testing.assert_close(together[:, :3], alone[:, :3], atol=1e-3, rtol=0)


@pytest.mark.parametrize("build", [fast, faster])
def test_half_precision_of_the_layers_leaves_losses_and_boxes_whole(build):
    detector = small(build).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = Seen(detector.dense(torch.randn(1, 3, 64, 80)), (64, 80), HW, around_the_truth())
        losses = detector.losses(seen, rows_of(TRUTH, LABELS)[None])
        [found] = detector.detect(seen)
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert found.boxes.dtype == found.probabilities.dtype == torch.float32


def scenes():
    """Bright squares (class 0) and wide dark bars (class 1) on grey, with noise."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(4, 3, 64, 64, generator=generator) * 0.1
    places = [[(4, 4), (36, 30)], [(20, 8), (10, 42)], [(40, 6), (2, 30)], [(8, 36), (30, 10)]]
    rows = []
    for image, ((x, y), (u, v)) in zip(images, places, strict=True):
        image[:, y : y + 16, x : x + 16] += 1.5
        image[:, v : v + 10, u : u + 26] -= 1.5
        corners = torch.tensor([[x, y, x + 16.0, y + 16], [u, v, u + 26.0, v + 10]])
        rows.append(rows_of(corners, torch.tensor([0, 1])))
    return images, torch.stack(rows)


@pytest.mark.parametrize("build", [fast, faster])
def test_four_images_are_learned_by_heart(build):
    detector = small(build, regions=32).train()
    images, targets = scenes()
    hw = torch.tensor([[64, 64]]).repeat(4, 1)
    generator = torch.Generator().manual_seed(0)
    near = targets[:, :, :4].repeat(1, 20, 1) + torch.randn(4, 40, 4, generator=generator) * 4
    corners = torch.rand(4, 60, 2, generator=generator) * 48
    far = torch.cat((corners, corners + 8 + torch.rand(4, 60, 2, generator=generator) * 20), dim=2)
    regions = torch.cat((near, far), dim=1)
    optimiser = torch.optim.AdamW(detector.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1 - step / 40)
    for _ in range(40):
        optimiser.zero_grad()
        losses = detector(images, hw, regions)(targets)
        sum(loss.mean() for loss in losses.values()).backward()
        optimiser.step()
        schedule.step()
    detector.eval()
    with torch.no_grad():
        assert average_precision(detector(images, hw, regions), targets) > 0.9


def average_precision(detections, targets):
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(iou_thresholds=[0.5], backend="faster_coco_eval")
    metric.update(
        [{"boxes": rows[:, :4], "labels": rows[:, 4].long(), "scores": rows[:, 5]} for rows in detections],
        [{"boxes": rows[:, :4], "labels": rows[:, 4].long()} for rows in targets],
    )
    return metric.compute()["map"].item()
