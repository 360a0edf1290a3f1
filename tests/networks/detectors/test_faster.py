import torch

from convolve.networks.architectures.residual import residual
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.detector import Seen
from convolve.networks.detectors.faster import faster


def build_small(sizes, **options):
    torch.manual_seed(0)
    network = residual(2, channels=3, image_hw=(64, 64), depth=8, width=8)
    anchors = AnchorShapes(sizes=sizes, ratios=(0.5, 1.0, 2.0))
    return faster(
        network, classes=2, channels=3, image_hw=(64, 64), anchors=anchors, width=16, head_width=32, **options
    )


def test_maps_are_followed_by_objectness_and_offsets_of_those_that_have_anchors():
    # 9 belongs to stride 1 (8 pixels), 30 and 40 to stride 4 (32); none to stride 2.
    detector = build_small((9.0, 30.0, 40.0), finest=1).eval()
    shapes = [tuple(one.shape[1:]) for one in detector.dense(torch.randn(1, 3, 32, 48))]
    assert shapes[:3] == [(16, 32, 48), (16, 16, 24), (16, 8, 12)]
    assert shapes[3:5] == [(3, 32, 48), (6, 8, 12)]
    assert shapes[5:] == [(12, 32, 48), (24, 8, 12)]


def test_as_many_proposals_are_looked_at_as_are_wanted():
    detector = build_small((8.0, 16.0), proposals_kept=7).eval()
    images, hw = torch.randn(2, 3, 64, 80), torch.tensor([[64, 80], [64, 60]])
    with torch.no_grad():
        sizes = []

        def counted(regions):
            sizes.append(len(regions))
            return detector.region_head(regions)

        seen = Seen(detector.train().dense(images), (64, 80), hw, None)
        assert min(len(boxes) for boxes in detector.propose(seen)) > 7
        detector.eval().detect(seen, run_regions=counted)
    assert sizes == [14]


def test_no_gradient_goes_through_the_edges_of_proposals():
    detector = build_small((8.0, 16.0)).train()
    images = torch.randn(1, 3, 64, 80)
    losses = detector(images, torch.tensor([[64, 80]]))(torch.tensor([[[4.0, 4, 20, 22, 1, 0]]]))
    (losses["classes"] + losses["boxes"]).sum().backward()
    assert all(parameter.grad is None for parameter in detector.dense.proposer.parameters())
    assert all(parameter.grad is not None for parameter in detector.dense.shared.parameters())


def test_maps_do_not_change_farther_away_than_the_reach():
    detector = build_small((8.0, 16.0)).double().eval()
    images = torch.randn(1, 3, 160, 64, dtype=torch.float64)
    other = images.clone()
    other[:, :, 100 + detector.reach + 1 :] = 7.0
    for one, two in zip(detector.dense(images), detector.dense(other), strict=True):
        rows = one.shape[2] * 100 // 160
        torch.testing.assert_close(one[:, :, :rows], two[:, :, :rows])
        assert not torch.equal(one, two)
