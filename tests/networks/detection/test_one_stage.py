import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder, BoxLinearCoder, _box_loss
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.retinanet import RetinaNetClassificationHead
from torchvision.models.detection.ssd import SSD

from convolve.data.boxes.targets import CROWD, DIFFICULT, NOTHING, OBJECT
from convolve.networks.detection.anchors import base_anchors, place_anchors
from convolve.networks.detection.box_coding import encode
from convolve.networks.detection.matching import match
from convolve.networks.detection.one_stage import OneStageHead
from convolve.networks.detection.one_stage_fcos import FCOSLayers, centre_ness, match_centres
from convolve.networks.detection.one_stage_retinanet import RetinaNetLayers
from convolve.networks.detection.one_stage_ssdlite import SSDLiteLayers
from convolve.networks.layers.bilinear_upsampling import Lattice

LATTICES = (Lattice(8, 3.5), Lattice(16, 7.5))
BASES = tuple(base_anchors(sizes, (0.5, 1.0, 2.0)) for sizes in ((24, 32), (48, 64)))
MAPS = ((8, 12), (4, 6))
CLASSES, WIDTH = 3, 16
HEADS = ("retinanet", "fcos", "ssdlite")


def head_of(name: str) -> OneStageHead:
    torch.manual_seed(0)
    options = {"width": WIDTH, "classes": CLASSES, "lattices": LATTICES}
    if name == "fcos":
        return FCOSLayers(**options, depth=1)
    if name == "ssdlite":
        return SSDLiteLayers(**options, bases=BASES)
    return RetinaNetLayers(**options, bases=BASES, depth=1)


def outputs_of(head: OneStageHead, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """(M, D) random outputs of an image of 64 x 96 pixels, and (M, 4) references."""
    maps = [torch.zeros(1, WIDTH, *hw) for hw in MAPS]
    references = torch.cat(head.references(maps))
    width = {"RetinaNetLayers": CLASSES + 4, "FCOSLayers": CLASSES + 5, "SSDLiteLayers": CLASSES + 5}
    torch.manual_seed(seed)
    return torch.randn(len(references), width[type(head).__name__]), references


def objects(*boxes: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 6)


SOME = objects((4, 6, 34, 30, 0, OBJECT), (40, 10, 92, 62, 2, OBJECT), (2, 40, 22, 62, 1, OBJECT))


def torchvisions_matches(matched) -> torch.Tensor:
    between = ~matched.positive & ~matched.negative
    return torch.where(matched.positive, matched.objects, torch.where(between, -2, -1))


def test_retinanets_losses_are_torchvisions():
    head = head_of("retinanet")
    rows, references = outputs_of(head)
    ours = head.losses(rows, references, SOME)
    matched = torchvisions_matches(match(references, SOME, positive=0.5, negative=(0.0, 0.4), best_of_each=True))
    theirs = RetinaNetClassificationHead(WIDTH, len(BASES[0]), CLASSES)
    truth = [{"labels": SOME[:, 4].long(), "boxes": SOME[:, :4]}]
    expected = theirs.compute_loss(truth, {"cls_logits": rows[None, :, :CLASSES]}, [matched])
    torch.testing.assert_close(ours["classes"], expected)
    found = matched >= 0
    assert found.sum() > 3
    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    boxes = _box_loss(
        "smooth_l1", coder, references[found], SOME[matched[found], :4], rows[found, CLASSES:], {"beta": 1 / 9}
    )
    torch.testing.assert_close(ours["boxes"], boxes / found.sum())


def test_fcos_losses_are_torchvisions():
    head = head_of("fcos")
    rows, references = outputs_of(head)
    ours = head.losses(rows, references, SOME)
    matched = torchvisions_matches(match_centres(references, SOME, strides=(8, 16)))
    outputs = {
        "cls_logits": rows[None, :, :CLASSES],
        "bbox_regression": rows[None, :, CLASSES : CLASSES + 4].relu(),
        "bbox_ctrness": rows[None, :, -1:],
    }
    truth = [{"labels": SOME[:, 4].long(), "boxes": SOME[:, :4]}]
    theirs = FCOSHead(32, 1, CLASSES).compute_loss(truth, outputs, [references], [matched])
    torch.testing.assert_close(ours["classes"], theirs["classification"])
    torch.testing.assert_close(ours["boxes"], theirs["bbox_regression"])
    torch.testing.assert_close(ours["centres"], theirs["bbox_ctrness"])


class MatchesError(Exception):
    """Carries what torchvision's FCOS matched."""


class Listening(FCOSHead):
    def compute_loss(self, targets, head_outputs, anchors, matched_idxs):
        raise MatchesError(matched_idxs)


def torchvisions_fcos() -> FCOS:
    backbone = torch.nn.Identity()
    backbone.out_channels = 32
    return FCOS(
        backbone,
        CLASSES,
        head=Listening(32, 1, CLASSES),
        anchor_generator=AnchorGenerator(((8,), (16,)), ((1.0,),) * 2),
    )


TORCHVISIONS_FCOS = torchvisions_fcos()


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_fcos_places_are_torchvisions(seed, count):
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * torch.tensor([70.0, 40.0])
    boxes = torch.cat((corners, corners + 4 + 30 * torch.rand(count, 2, generator=generator)), dim=1)
    references = torch.cat(head_of("fcos").references([torch.zeros(1, 1, *hw) for hw in MAPS]))
    # In double precision: it compares areas by 1e8 less the area.
    truth = [{"boxes": boxes.double(), "labels": torch.zeros(count, dtype=torch.int64)}]
    with pytest.raises(MatchesError) as raised:
        TORCHVISIONS_FCOS.compute_loss(truth, {}, [references], [height * width for height, width in MAPS])
    (theirs,) = raised.value.args[0]
    ours = match_centres(references, torch.cat((boxes, torch.zeros(count, 2)), dim=1), strides=(8, 16))
    assert torchvisions_matches(ours).tolist() == theirs.tolist()


def test_ssdlites_losses_are_torchvisions():
    head = head_of("ssdlite")
    rows, references = outputs_of(head)
    ours = head.losses(rows, references, SOME)
    matched = torchvisions_matches(match(references, SOME, positive=0.5, negative=(0.0, 0.5), best_of_each=True))
    theirs = SSD.__new__(SSD)
    torch.nn.Module.__init__(theirs)
    theirs.box_coder, theirs.neg_to_pos_ratio = BoxCoder((10.0, 10.0, 5.0, 5.0)), 3
    outputs = {"cls_logits": rows[None, :, : CLASSES + 1], "bbox_regression": rows[None, :, CLASSES + 1 :]}
    truth = [{"labels": SOME[:, 4].long() + 1, "boxes": SOME[:, :4]}]
    expected = theirs.compute_loss(truth, outputs, [references], [matched])
    torch.testing.assert_close(ours["classes"], expected["classification"])
    torch.testing.assert_close(ours["boxes"], expected["bbox_regression"])


@pytest.mark.parametrize("name", HEADS)
def test_maps_are_torchvisions_layers_in_the_order_of_the_references(name):
    head = head_of(name).eval()
    maps = tuple(torch.randn(2, WIDTH, *hw) for hw in MAPS)
    with torch.no_grad():
        rows = torch.cat([head.rows(level) for level in head(maps)], dim=1)
        if name == "fcos":
            distances, centred = head.regressor(list(maps))
            torch.testing.assert_close(rows[:, :, :CLASSES], head.classifier(list(maps)))
            torch.testing.assert_close(rows[:, :, CLASSES:-1].relu(), distances)
            torch.testing.assert_close(rows[:, :, -1:], centred)
        else:
            theirs = head.layers(list(maps))
            torch.testing.assert_close(rows, torch.cat((theirs["cls_logits"], theirs["bbox_regression"]), dim=2))
    assert rows.shape[1] == sum(len(some) for some in head.references(maps))


def perfect(name: str, head: OneStageHead, references: torch.Tensor) -> torch.Tensor:
    """Outputs that say the truth of SOME, where the places are said to stand for it."""
    nothing = torch.full((len(references), CLASSES), -20.0)
    if name == "fcos":
        matched = match_centres(references, SOME, strides=(8, 16))
        boxes = BoxLinearCoder().encode(references, SOME[matched.objects, :4])
        centred = torch.logit(centre_ness(references, SOME[matched.objects, :4]), eps=1e-6)[:, None]
        parts = [boxes, torch.where(matched.positive[:, None], centred, -20.0)]
    else:
        matched = match(references, SOME, positive=0.5, negative=(0.0, 0.5), best_of_each=True)
        deviations = (0.1, 0.1, 0.2, 0.2) if name == "ssdlite" else (1.0, 1.0, 1.0, 1.0)
        parts = [encode(SOME[matched.objects, :4], references, deviations=deviations)]
    places = matched.positive.nonzero()[:, 0]
    nothing[places, SOME[matched.objects[places], 4].long()] = 20.0
    return torch.cat(([torch.zeros(len(references), 1)] if name == "ssdlite" else []) + [nothing, *parts], dim=1)


@pytest.mark.parametrize("name", HEADS)
def test_perfect_outputs_are_the_truth_and_cost_nothing(name):
    head = head_of(name)
    _, references = outputs_of(head)
    rows = perfect(name, head, references)
    losses = head.losses(rows, references, SOME)
    assert losses["classes"] < 1e-5
    assert losses["boxes"] < 1e-5
    probabilities = head.probabilities(rows)
    for number, row in enumerate(SOME):
        places = (probabilities[:, int(row[4])] > 0.5).nonzero()[:, 0]
        assert len(places)
        boxes = head.boxes(rows[places], references[places])
        nearest = (boxes - row[:4]).abs().amax(dim=1).min()
        assert nearest < 1e-2, f"object {number}"
    assert (probabilities > 0.5).sum(dim=1).max() == 1


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("kind", [DIFFICULT, CROWD])
def test_what_is_said_where_a_crowd_is_changes_nothing(name, kind):
    head = head_of(name)
    rows, references = outputs_of(head)
    targets = torch.cat((SOME, objects((0, 36, 40, 64, 0, kind))))[[3, 0, 1]]
    before = head.losses(rows, references, targets)
    within = (references[:, 0] >= 0) & (references[:, 2] <= 40) & (references[:, 1] >= 36) & (references[:, 3] <= 64)
    assert within.sum() >= 2
    changed = rows.clone()
    changed[within] = 5.0
    after = head.losses(changed, references, targets)
    for part, loss in before.items():
        torch.testing.assert_close(after[part], loss, rtol=0, atol=0)
    without = head.losses(changed, references, targets[1:])
    assert without["classes"] != after["classes"]


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("targets", [objects(), objects((0, 0, 0, 0, 0, NOTHING)), objects((0, 0, 96, 64, 0, CROWD))])
def test_without_objects_losses_and_gradients_are_finite(name, targets):
    head = head_of(name)
    rows, references = outputs_of(head)
    rows.requires_grad_()
    losses = head.losses(rows, references, targets)
    assert losses["boxes"] == 0
    torch.stack(list(losses.values())).sum().backward()
    assert rows.grad.isfinite().all()
    if not (targets[:, 5] == CROWD).any():
        assert losses["classes"] > 0


@pytest.mark.parametrize("name", HEADS)
def test_gradients_of_the_losses_by_finite_differences(name):
    head = head_of(name)
    rows, references = outputs_of(head)
    # Away from where distances are cut off and smooth L1 bends.
    rows[:, CLASSES : CLASSES + 4] = rows[:, CLASSES : CLASSES + 4].abs() + 0.5
    inputs = rows.double().requires_grad_()
    places, targets = references.double(), SOME.double()
    near = match(references, SOME, positive=0.4, negative=(0, 0.1)).positive.nonzero()[:20, 0]

    def whole(some: torch.Tensor) -> torch.Tensor:
        changed = inputs.detach().index_put((near,), some)
        return torch.stack(list(head.losses(changed, places, targets).values())).sum()

    assert torch.autograd.gradcheck(whole, inputs[near].detach().requires_grad_())


def test_centre_ness_by_hand():
    # The middle; a quarter from the left: sqrt(1/3); a quarter from both: 1/3.
    points = torch.tensor([[20.0, 10.0], [10.0, 10.0], [10.0, 5.0]])
    squares = torch.cat((points - 4, points + 4), dim=1)
    boxes = torch.tensor([[0.0, 0, 40, 20]]).expand(3, 4)
    assert centre_ness(squares, boxes).tolist() == pytest.approx([1, (1 / 3) ** 0.5, 1 / 3])


def test_a_place_in_two_objects_stands_for_the_smaller():
    references = place_anchors(torch.tensor([[-4.0, -4, 4, 4]]), Lattice(8, 3.5), (8, 8))
    targets = objects((8, 8, 56, 56, 0, OBJECT), (24, 24, 40, 40, 1, OBJECT))
    matched = match_centres(references, targets, strides=(8, 8))
    assert matched.objects[matched.positive].unique().tolist() == [1]


@pytest.mark.parametrize("name", ["retinanet", "fcos"])
def test_at_first_everything_is_there_with_a_probability_of_a_hundredth(name):
    head = head_of(name)
    with torch.no_grad():
        rows = torch.cat([head.rows(level) for level in head(tuple(torch.randn(1, WIDTH, *hw) for hw in MAPS))], dim=1)
    assert rows[0, :, :CLASSES].sigmoid().median().item() == pytest.approx(0.01, abs=0.002)
    # Focal loss of so many sure negatives is small (Lin et al., 3.3 and 4.1).
    background = F.binary_cross_entropy_with_logits(rows[..., :CLASSES], torch.zeros_like(rows[..., :CLASSES]))
    assert background < 0.02
