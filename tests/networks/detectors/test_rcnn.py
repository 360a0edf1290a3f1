import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import box_iou
from torchvision.transforms.functional import crop

from convolve.data.boxes.targets import NOTHING
from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.building import build_detector
from convolve.networks.detection.detector import Limits
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.networks.detectors import DETECTORS
from convolve.networks.detectors.rcnn import WarpedRegions
from convolve.networks.network import Network

ANCHORS = AnchorShapes(sizes=(16.0,), ratios=(1.0,))


def network(channels: int = 3, hw: tuple[int, int] = (48, 64)) -> Network:
    return find_architecture("residual").create(1, channels=channels, image_hw=hw)


def rcnn(**options: object) -> TwoStageDetector:
    torch.manual_seed(0)
    detector = build_detector("rcnn", options, network(), classes=2, channels=3, image_hw=(48, 64), anchors=ANCHORS)
    assert isinstance(detector, TwoStageDetector)
    return detector


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 48, 64, generator=torch.Generator().manual_seed(1))


REGIONS = torch.tensor(
    [
        [[2.0, 3.0, 30.0, 33.0], [10.0, 5.0, 40.0, 45.0], [0.0, 0.0, 64.0, 48.0]],
        [[20.0, 10.0, 50.0, 40.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
    ]
)
SIZES = torch.tensor([[48, 64], [48, 64]])


def test_a_region_goes_through_the_whole_backbone_as_an_image_would() -> None:
    """A box of exactly the crop's size without context: what the network itself says of that part of the image."""
    own = network()
    torch.manual_seed(0)
    detector = DETECTORS["rcnn"].build(
        own, classes=2, channels=3, image_hw=(48, 64), anchors=ANCHORS, side=32, context=0
    )
    assert isinstance(detector, TwoStageDetector)
    detector.eval()
    own.eval()
    picture = images(1)
    box = torch.tensor([[7.0, 9.0, 39.0, 41.0]])
    with torch.inference_mode():
        features = detector.region_head.body(detector.features(detector.dense(picture), (48, 64), [box]))
        expected = own.backbone(crop(picture, 9, 7, 32, 32))
    torch.testing.assert_close(features, expected)


def test_it_takes_regions_and_its_stages_are_the_backbone_once() -> None:
    detector = rcnn()
    assert detector.takes_regions
    assert DETECTORS["rcnn"].takes_regions
    stages = [parameter for stage in detector.encoder_stages for parameter in stage.parameters()]
    assert len(detector.encoder_stages) > 1
    assert len({id(parameter) for parameter in stages}) == len(stages)
    assert {id(one) for one in stages} == {id(one) for one in detector.region_head.body.parameters()}


def test_detections_do_not_depend_on_the_portion() -> None:
    detector = rcnn(side=32).eval()
    detector.limits = Limits(min_probability=0.0, max_boxes=10)
    with torch.inference_mode():
        together = detector(images(), SIZES, REGIONS)
        detector.portion = 1
        one_by_one = detector(images(), SIZES, REGIONS)
    assert together.shape == (2, 10, 6)
    # Three regions of two classes, then one.
    assert (together[0, :, 5] > 0).sum() > (together[1, :, 5] > 0).sum() > 0
    torch.testing.assert_close(together, one_by_one)


def test_an_image_alone_and_in_a_batch_are_alike() -> None:
    detector = rcnn(side=32).eval()
    with torch.inference_mode():
        both = detector(images(), SIZES, REGIONS)
        alone = detector(images()[1:], SIZES[1:], REGIONS[1:])
    torch.testing.assert_close(both[1:], alone)


def test_the_loss_reaches_every_weight() -> None:
    detector = rcnn(side=32)
    targets = torch.tensor([[[4.0, 4.0, 31.0, 32.0, 1.0, 0.0]], [[0.0, 0.0, 0.0, 0.0, 0.0, NOTHING]]])
    losses = detector(images(), SIZES, REGIONS)(targets)
    assert set(losses) == {"classes", "boxes"}
    assert losses["boxes"][0] > 0
    assert losses["boxes"][1] == 0
    torch.autograd.backward(torch.cat(list(losses.values())).sum())
    assert all(one.grad is not None and bool(one.grad.isfinite().all()) for one in detector.parameters())


def test_it_learns_to_tell_bright_from_dark_and_where_they_are() -> None:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 144, 32))
    own = Network(nn.Sequential(*layers, nn.ReLU()), nn.Linear(32, 1), features=32)
    detector = DETECTORS["rcnn"].build(
        own, classes=2, channels=3, image_hw=(48, 64), anchors=ANCHORS, side=16, regions=16
    )
    picture = torch.zeros(1, 3, 48, 64)
    picture[..., 8:24, 8:24] = 2
    picture[..., 20:44, 36:56] = -2
    targets = torch.tensor([[[8.0, 8.0, 24.0, 24.0, 0.0, 0.0], [36.0, 20.0, 56.0, 44.0, 1.0, 0.0]]])
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(60, 2, generator=generator) * torch.tensor([40.0, 28.0])
    # All to one side: as they are, they overlap what they show by little more than half.
    near = targets[0].repeat(10, 1)[:, :4] + torch.tensor([3.0, 2.0, 3.0, 2.0])
    near = near + torch.rand(20, 4, generator=generator) * 0.5
    regions = torch.cat((torch.cat((corners, corners + 18), dim=1), near))[None]
    hw = torch.tensor([[48, 64]])
    optimiser = torch.optim.Adam(detector.parameters(), lr=3e-3)
    for _ in range(100):
        optimiser.zero_grad()
        losses = detector(picture, hw, regions)(targets)
        torch.autograd.backward(torch.cat(list(losses.values())).sum())
        optimiser.step()
    with torch.inference_mode():
        found = detector.eval()(picture, hw, regions)[0]
    best = [found[found[:, 4] == index][0] for index in (0, 1)]
    for row, target in zip(best, targets[0], strict=True):
        assert row[5] > 0.5
        assert box_iou(row[None, :4], target[None, :4]) > 0.8


@pytest.mark.parametrize(("hw", "side"), [((48, 64), 64), ((480, 640), 224)])
def test_the_side_is_the_zoos_or_the_images(hw: tuple[int, int], side: int) -> None:
    detector = DETECTORS["rcnn"].build(network(), classes=1, channels=3, image_hw=hw, anchors=ANCHORS)
    assert isinstance(detector, TwoStageDetector)
    assert isinstance(detector.features, WarpedRegions)
    assert detector.features.side == side
    assert detector.features.context == {64: 5, 224: 16}[side]


def test_grey_images_and_other_backbones_will_do() -> None:
    class Crossing(nn.Module):
        """No chain of layers."""

        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 4, 3)

        def forward(self, pictures: Tensor) -> Tensor:
            product: Tensor = self.left(pictures) * self.right(pictures)
            return product.mean(dim=(2, 3))

    own = Network(Crossing(), nn.Linear(4, 1), features=4)
    detector = DETECTORS["rcnn"].build(own, classes=1, channels=1, image_hw=(20, 20), anchors=ANCHORS)
    assert detector.encoder_stages == (own.backbone,)
    with torch.inference_mode():
        found = detector.eval()(
            torch.randn(1, 1, 20, 20), torch.tensor([[20, 20]]), torch.tensor([[[1.0, 1.0, 9.0, 9.0]]])
        )
    assert found.shape == (1, 100, 6)


def test_a_network_for_one_size_only_says_so() -> None:
    own = find_architecture("lenet5").create(1, channels=1, image_hw=(32, 32))
    chosen = {"classes": 1, "channels": 1, "image_hw": (64, 64), "anchors": ANCHORS}
    with pytest.raises(UserError, match=r"detect\.options\.side=64: the network does not take images of 64 x 64"):
        DETECTORS["rcnn"].build(own, **chosen)
    DETECTORS["rcnn"].build(own, **chosen, side=32)


def test_all_context_is_no_region() -> None:
    with pytest.raises(UserError, match=r"detect\.options\.context=8: nothing of 16 pixels"):
        rcnn(side=16, context=8)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(UserError, match="unknown option 'contxt'"):
        rcnn(contxt=3)
