import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import box_iou

from convolve.data.boxes.targets import CROWD, DIFFICULT, NOTHING, OBJECT
from convolve.networks.detection.anchors import AnchorShapes, base_anchors, place_anchors
from convolve.networks.detection.box_coding import encode
from convolve.networks.detection.detector import Seen
from convolve.networks.detection.region_proposals import GivenRegions, ProposalConvolutions, RegionProposals
from convolve.networks.layers.bilinear_upsampling import Lattice

LATTICES = (Lattice(8, 0.0), Lattice(16, 0.0))
SHAPES = AnchorShapes(sizes=(32.0, 64.0, 128.0), ratios=(0.5, 1.0, 2.0))
SIZES = ((8, 10), (4, 5))
OBJECTS = torch.tensor(
    [[4.0, 6.0, 30.0, 50.0, 0, OBJECT], [40.0, 20.0, 76.0, 41.0, 2, OBJECT], [0.0, 0.0, 0.0, 0.0, 0, NOTHING]]
)
# 32 and 64 belong to stride 8 (64 pixels of eight units each), 128 to stride 16.
ANCHORS = torch.cat(
    [
        place_anchors(base_anchors(sizes, SHAPES.ratios), lattice, hw)
        for sizes, lattice, hw in zip(((32.0, 64.0), (128.0,)), LATTICES, SIZES, strict=True)
    ]
)


def as_maps(objectness, offsets):
    """Maps, as the network gives them, from (N, M) and (N, M, 4)."""
    shared, logits, moved, first = [], [], [], 0
    for (height, width), count in zip(SIZES, (6, 3), strict=True):
        part = slice(first, first + height * width * count)
        first = part.stop
        images = len(objectness)
        shared.append(torch.zeros(images, 4, height, width))
        logits.append(objectness[:, part].reshape(images, height, width, count).permute(0, 3, 1, 2))
        by_unit = offsets[:, part].reshape(images, height, width, count, 4)
        moved.append(by_unit.permute(0, 3, 4, 1, 2).reshape(images, 4 * count, height, width))
    return (*shared, *logits, *moved)


def seen_of(objectness, offsets, hw=((64, 80),)):
    return Seen(as_maps(objectness, offsets), (64, 80), torch.tensor(hw), None)


def proposals(**options):
    return RegionProposals(LATTICES, SHAPES, kept=300, **options)


def test_perfect_outputs_propose_every_object_and_nothing_outside():
    overlaps = box_iou(ANCHORS, OBJECTS[:2, :4])
    offsets = encode(OBJECTS[overlaps.argmax(dim=1), :4], ANCHORS, deviations=(1.0,) * 4)
    [found] = proposals().eval().propose(seen_of(20 * overlaps.amax(dim=1)[None] - 6, offsets[None]))
    # All anchors say one of the two; suppression leaves these.
    torch.testing.assert_close(found[found[:, 0].argsort()], OBJECTS[:2, :4], atol=1e-3, rtol=0)


@pytest.mark.parametrize("kept", [5, 20, 100])
def test_few_proposals_are_the_first_of_many(kept):
    generator = torch.Generator().manual_seed(kept)
    seen = seen_of(torch.randn(1, len(ANCHORS), generator=generator), torch.zeros(1, len(ANCHORS), 4))
    few, every = (RegionProposals(LATTICES, SHAPES, kept=count).eval() for count in (kept, len(ANCHORS)))
    [best], [all_of_them] = few.propose(seen), every.propose(seen)
    assert len(all_of_them) > kept
    assert best.tolist() == all_of_them[:kept].tolist()


def test_proposals_lie_within_the_content_best_first_and_apart():
    torch.manual_seed(0)
    logits = torch.randn(2, len(ANCHORS))
    seen = seen_of(logits, torch.randn(2, len(ANCHORS), 4) * 0.3, hw=((64, 80), (40, 30)))
    module = proposals().eval()
    for boxes, (height, width) in zip(module.propose(seen), ((64, 80), (40, 30)), strict=True):
        assert len(boxes) > 5
        assert (boxes[:, :2] >= 0).all()
        assert boxes[:, 2].max() <= width
        assert boxes[:, 3].max() <= height
        assert (boxes[:, 2:] - boxes[:, :2]).min() >= 2
        assert (box_iou(boxes, boxes) - torch.eye(len(boxes))).max() <= 0.7
    # With one box kept, it is the first of all.
    module.kept = 1
    torch.testing.assert_close(module.propose(seen)[0], proposals().eval().propose(seen)[0][:1])


def test_the_losses_are_torchvisions_on_the_same_anchors():
    torch.manual_seed(0)
    logits, offsets = torch.randn(1, len(ANCHORS)), torch.randn(1, len(ANCHORS), 4) * 0.3
    reference = RegionProposalNetwork(
        AnchorGenerator(((32,),), ((1.0,),)), RPNHead(4, 1), 0.7, 0.3, 10**6, 0.5, {}, {}, 0.7
    )
    within = ((ANCHORS[:, :2] + ANCHORS[:, 2:]) / 2 < torch.tensor([80.0, 64.0])).all(dim=1)
    labels, matched = reference.assign_targets_to_anchors([ANCHORS[within]], [{"boxes": OBJECTS[:2, :4]}])
    wanted = reference.box_coder.encode(matched, [ANCHORS[within]])
    expected = reference.compute_loss(logits[:, within].reshape(-1, 1), offsets[0, within], labels, wanted)
    ours = proposals(count=10**6).losses(seen_of(logits, offsets), OBJECTS[None])
    assert (labels[0] == 1).sum() >= 2
    torch.testing.assert_close(ours["objectness"][0], expected[0])
    torch.testing.assert_close(ours["proposal_boxes"][0], expected[1])


def gradients(targets, hw=((64, 80),), count=256):
    logits = torch.zeros(1, len(ANCHORS), requires_grad=True)
    offsets = torch.zeros(1, len(ANCHORS), 4, requires_grad=True)
    losses = proposals(count=count).losses(seen_of(logits, offsets, hw), targets[None])
    assert all(loss.isfinite().all() and loss.shape == (1,) for loss in losses.values())
    sum(loss.sum() for loss in losses.values()).backward()
    return logits.grad[0], offsets.grad[0]


def test_a_step_looks_at_so_many_anchors_and_without_objects_at_background_only():
    logits, offsets = gradients(OBJECTS[:0], count=64)
    assert (logits != 0).sum() == 64
    assert (logits >= 0).all()
    assert (offsets == 0).all()
    logits, offsets = gradients(OBJECTS, count=64)
    positive = logits < 0
    assert 2 <= positive.sum() <= 32
    assert (logits != 0).sum() == 64
    assert ((offsets != 0).any(dim=1) == positive).all()


@pytest.mark.parametrize("kind", [DIFFICULT, CROWD])
def test_anchors_covered_by_what_does_not_count_get_no_gradient(kind):
    region = torch.tensor([[0.0, 0.0, 40.0, 64.0, 1, kind]])
    logits, _ = gradients(region, count=10**6)
    shared = (torch.minimum(ANCHORS[:, 2:], region[0, 2:4]) - torch.maximum(ANCHORS[:, :2], region[0, :2])).clamp(min=0)
    covered = shared.prod(dim=1) >= 0.5 * (ANCHORS[:, 2:] - ANCHORS[:, :2]).prod(dim=1)
    assert covered.any()
    assert (logits[covered] == 0).all()
    assert (logits[~covered] != 0).all()


def test_anchors_on_padding_neither_train_nor_propose():
    on_padding = ((ANCHORS[:, 0] + ANCHORS[:, 2]) / 2 >= 40) | ((ANCHORS[:, 1] + ANCHORS[:, 3]) / 2 >= 30)
    logits, _ = gradients(OBJECTS[:0], hw=((30, 40),), count=10**6)
    assert ((logits == 0) == on_padding).all()
    best = torch.where(on_padding, 5.0, -5.0)[None]
    module = proposals().eval()
    found = module.propose(seen_of(best, torch.zeros(1, len(ANCHORS), 4), hw=((30, 40),)))[0]
    without = module.propose(seen_of(torch.full_like(best, -5.0), torch.zeros(1, len(ANCHORS), 4), hw=((30, 40),)))[0]
    torch.testing.assert_close(found, without)


def test_losses_are_those_of_each_image_alone():
    torch.manual_seed(0)
    logits, offsets = torch.randn(2, len(ANCHORS)), torch.randn(2, len(ANCHORS), 4)
    targets = torch.stack((OBJECTS, OBJECTS.flip(0) * torch.tensor([1, 1, 0.8, 0.9, 1, 1])))
    module = proposals(count=10**6)
    together = module.losses(seen_of(logits, offsets, hw=((64, 80), (50, 70))), targets)
    for row, hw in enumerate(((64, 80), (50, 70))):
        alone = module.losses(seen_of(logits[row : row + 1], offsets[row : row + 1], (hw,)), targets[row : row + 1])
        for name, value in alone.items():
            torch.testing.assert_close(together[name][row], value[0])


def test_the_network_of_the_paper_has_its_parameters():
    # Ren et al. have 2,387,510 with two logits for each of nine anchors; ours has one: nine rows of 512 + 1 fewer. The
    # whole detector's 137,078,239 are these and those of fast with VGG16.
    module = ProposalConvolutions(512, width=512, anchors=[9])
    assert sum(parameter.numel() for parameter in module.parameters()) == 2_387_510 - 9 * 513


def test_maps_without_anchors_are_passed_over():
    module = ProposalConvolutions(4, width=8, anchors=[3, 0, 6])
    maps = [torch.randn(2, 4, side, side) for side in (8, 4, 2)]
    objectness, offsets = module(maps)
    assert [tuple(one.shape) for one in objectness] == [(2, 3, 8, 8), (2, 6, 2, 2)]
    assert [tuple(one.shape) for one in offsets] == [(2, 12, 8, 8), (2, 24, 2, 2)]


def test_given_regions_are_cut_to_the_content_and_rows_that_fill_up_are_left_out():
    regions = torch.tensor([[[5.0, 5, 90, 20], [0, 0, 0, 0], [50, 0, 60, 9]], [[50.0, 5, 90, 20], [0] * 4, [0] * 4]])
    seen = Seen((), (64, 96), torch.tensor([[64, 80], [30, 40]]), regions)
    first, second = GivenRegions().propose(seen)
    assert first.tolist() == [[5, 5, 80, 20], [50, 0, 60, 9]]
    # Nothing is left: the whole content.
    assert second.tolist() == [[0, 0, 40, 30]]
    with pytest.raises(ValueError, match="none were given"):
        GivenRegions().propose(seen._replace(regions=None))
