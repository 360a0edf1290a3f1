"""The machines against LinearSVC on all data at once, which is what mining saves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import LinearSVC
from torch import Tensor, nn

from convolve.data.boxes.targets import CROWD, DIFFICULT, OBJECT
from convolve.errors import UserError
from convolve.networks.detection.anchors import AnchorShapes
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.networks.detectors import DETECTORS
from convolve.networks.network import Network
from convolve.training.region_svm import RegionSvms, fit_region_svms, install_svms, region_features

WIDTH = 6


class Scene:
    """Images of which each region has features that are drawn once: objects around their class's own place.

    Args:
        seed: of everything.
        images: how many.
        regions: of each, none of which touches an object.
    """

    def __init__(self, seed: int, *, images: int, regions: int, spread: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.places = torch.randn(3, WIDTH, generator=generator) * 4
        self.targets: list[Tensor] = []
        self.regions: list[Tensor] = []
        self.known: list[dict[tuple[float, ...], Tensor]] = []
        for row in range(images):
            objects = torch.tensor([[10.0, 10.0, 30.0, 30.0, row % 2, OBJECT], [50.0, 10.0, 80.0, 30.0, 1, OBJECT]])
            corners = 100 + torch.rand(regions, 2, generator=generator) * 100
            boxes = torch.cat((corners, corners + 20), dim=1)
            self.targets.append(objects)
            self.regions.append(boxes)
            classes = torch.cat((torch.full((regions,), 2), objects[:, 4].long()))
            noise = torch.randn(len(classes), WIDTH, generator=generator) * spread
            features = self.places[classes] + noise
            every = torch.cat((boxes, objects[:, :4]))
            self.known.append({tuple(box): one for box, one in zip(every.tolist(), features, strict=True)})

    def features(self, row: int, boxes: Tensor) -> Tensor:
        return torch.stack([self.known[row][tuple(box)] for box in boxes.tolist()])

    def everything(self) -> tuple[Tensor, Tensor]:
        """(M, F) features of all regions and objects, and (M,) their classes, 2 = none."""
        features, classes = [], []
        for row, (objects, boxes) in enumerate(zip(self.targets, self.regions, strict=True)):
            features.append(self.features(row, torch.cat((boxes, objects[:, :4]))))
            classes.append(torch.cat((torch.full((len(boxes),), 2), objects[:, 4].long())))
        return torch.cat(features), torch.cat(classes)

    def fitted(self) -> RegionSvms:
        return fit_region_svms(self.features, self.regions, self.targets, classes=2)


def margins(svms: RegionSvms, features: Tensor) -> Tensor:
    return features @ svms.weight.T + svms.bias


def objective(weight: np.ndarray, bias: float, features: np.ndarray, positive: np.ndarray) -> float:
    """LIBLINEAR's primal, hinge, with the intercept as the weight of a feature of 10."""
    hinge = np.maximum(0, 1 - np.where(positive, 1, -1) * (features @ weight + bias))
    return float((weight**2).sum() / 2 + (bias / 10) ** 2 / 2 + 1e-3 * (hinge * np.where(positive, 2, 1)).sum())


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_mining_finds_nearly_what_all_regions_at_once_give(seed: int) -> None:
    scene = Scene(seed, images=12, regions=60, spread=1.5)
    svms = scene.fitted()
    features, classes = scene.everything()
    scale = 20 / float(features.norm(dim=1).mean())
    scaled = features.double().numpy() * scale
    for index in range(2):
        positive = (classes == index).numpy()
        whole = LinearSVC(C=1e-3, loss="hinge", class_weight={1: 2.0}, intercept_scaling=10.0, max_iter=100_000)
        whole.fit(scaled, positive.astype(int))
        best = objective(whole.coef_[0], whole.intercept_[0], scaled, positive)
        # The norm is of ten images of the twelve: nearly the same scale.
        found = objective(svms.weight[index].double().numpy() / scale, float(svms.bias[index]), scaled, positive)
        assert found <= 1.1 * best + 1e-3


def test_separable_classes_are_separated() -> None:
    scene = Scene(1, images=20, regions=30, spread=0.3)
    svms = scene.fitted()
    features, classes = scene.everything()
    found = margins(svms, features)
    for index in range(2):
        assert found[classes == index, index].min() > found[classes != index, index].max()


def test_the_unit_of_the_features_does_not_matter() -> None:
    scene = Scene(2, images=10, regions=30)
    features, _ = scene.everything()
    one = margins(scene.fitted(), features)
    svms = fit_region_svms(lambda row, boxes: 250 * scene.features(row, boxes), scene.regions, scene.targets, classes=2)
    torch.testing.assert_close(margins(svms, 250 * features), one, rtol=1e-3, atol=1e-3)


def test_the_same_each_time() -> None:
    scene = Scene(3, images=10, regions=30)
    one, two = scene.fitted(), scene.fitted()
    assert torch.equal(one.weight, two.weight)
    assert torch.equal(one.intercept, two.intercept)
    assert one.negatives == two.negatives


def test_hard_negatives_of_later_images_count() -> None:
    """Regions that look as the objects of class 0 do, but for one feature, from the second image on."""
    scene = Scene(4, images=10, regions=40, spread=0.2)
    confusing = scene.places[0].clone()
    confusing[0] -= 3
    for row in range(1, 10):
        for box in scene.regions[row][:15].tolist():
            scene.known[row][tuple(box)] = confusing + 0.1 * scene.known[row][tuple(box)]
    naive = fit_region_svms(
        scene.features,
        [scene.regions[0], *(boxes[:0] for boxes in scene.regions[1:])],
        scene.targets,
        classes=2,
    )
    mined = scene.fitted()
    assert mined.negatives[0] > naive.negatives[0]
    decoys = torch.stack(
        [scene.known[row][tuple(box)] for row in (1, 5, 9) for box in scene.regions[row][:15].tolist()]
    )
    objects = torch.stack([scene.known[row][(10.0, 10.0, 30.0, 30.0)] for row in (0, 2, 4, 6, 8)])

    def gap(svms: RegionSvms) -> float:
        return float(margins(svms, objects)[:, 0].min() - margins(svms, decoys)[:, 0].max())

    assert gap(mined) > max(gap(naive), 0)


def test_easy_negatives_are_not_kept() -> None:
    """Far from the objects; those of the first image are all taken, and of two thousand others hardly any."""
    scene = Scene(5, images=20, regions=100, spread=0.1)
    assert max(scene.fitted().negatives) < 300


def test_many_hard_negatives_are_fitted_before_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 of them, twice more than 2,000: with the first image's that makes four fits of each class."""
    fits = 0
    fit = LinearSVC.fit

    def counted(self: LinearSVC, *arguments: object, **options: object) -> LinearSVC:
        nonlocal fits
        fits += 1
        return fit(self, *arguments, **options)

    monkeypatch.setattr(LinearSVC, "fit", counted)
    scene = Scene(6, images=10, regions=500, spread=1.0)
    # All look alike, so that none is ever easy.
    scene.places[:] = 0
    for known in scene.known:
        for box, features in known.items():
            known[box] = torch.randn(WIDTH, generator=torch.Generator().manual_seed(int(box[0] * 1000))) + 0 * features
    scene.fitted()
    assert fits >= 6


NEAR = ([12.0, 10.0, 32.0, 30.0], None)
DIFFICULT_ONE = ([300.0, 0.0, 320.0, 20.0], [298.0, 0.0, 322.0, 20.0, 1, DIFFICULT])
IN_A_CROWD = ([400.0, 0.0, 420.0, 20.0], [390.0, 0.0, 500.0, 90.0, 1, CROWD])


@pytest.mark.parametrize(("box", "ignored"), [NEAR, DIFFICULT_ONE, IN_A_CROWD])
def test_what_shows_an_object_or_does_not_count_is_not_negative(box: list[float], ignored: list[float] | None) -> None:
    """A region that looks as class 0 does, near an object of it, or on what does not count: it leaves no trace."""
    clean, other = (Scene(7, images=6, regions=20, spread=0.3) for _ in range(2))
    features, _ = clean.everything()
    place = clean.places[0] / clean.places[0].norm()
    for row in (0, 2, 4):
        # Of the mean norm, so that all features are scaled as before.
        other.known[row][tuple(box)] = place * features.norm(dim=1).mean()
        other.regions[row] = torch.cat((other.regions[row], torch.tensor([box])))
        if ignored is not None:
            other.targets[row] = torch.cat((other.targets[row], torch.tensor([ignored])))
    expected, found = clean.fitted(), other.fitted()
    assert found.negatives[0] == expected.negatives[0]
    torch.testing.assert_close(found.weight[0], expected.weight[0], rtol=1e-4, atol=1e-4)
    far = torch.tensor([[500.0, 0.0, 520.0, 20.0]])
    for row in (0, 2, 4):
        other.known[row][tuple(far[0].tolist())] = other.known[row][tuple(box)]
        other.regions[row] = torch.cat((other.regions[row], far))
    assert other.fitted().negatives[0] > expected.negatives[0]


def test_a_class_without_objects_is_never_found() -> None:
    scene = Scene(8, images=4, regions=10)
    svms = fit_region_svms(scene.features, scene.regions, scene.targets, classes=3)
    features, _ = scene.everything()
    logits = svms.slope * margins(svms, features) + svms.intercept
    assert (margins(svms, features)[:, 2] == -1).all()
    assert (logits[:, 2].sigmoid() < 1e-9).all()


def test_no_objects_at_all_is_an_error() -> None:
    with pytest.raises(UserError, match="no training image has an object"):
        fit_region_svms(
            lambda row, boxes: torch.zeros(len(boxes), 2), [torch.zeros(1, 4)], [torch.zeros(0, 6)], classes=1
        )


def test_probabilities_rise_with_margins_and_a_detector_gives_them() -> None:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 49, WIDTH))
    detector = DETECTORS["rcnn"].build(
        Network(backbone, nn.Linear(WIDTH, 1), features=WIDTH),
        classes=2,
        channels=1,
        image_hw=(40, 40),
        anchors=AnchorShapes(sizes=(8.0,), ratios=(1.0,)),
        side=16,
    )
    assert isinstance(detector, TwoStageDetector)
    pictures = torch.randn(25, 1, 1, 40, 40, generator=torch.Generator().manual_seed(1))
    objects = torch.tensor([[4.0, 4.0, 16.0, 16.0, 0, OBJECT], [20.0, 20.0, 36.0, 36.0, 1, OBJECT]])
    pictures[..., 4:16, 4:16] += 3
    pictures[..., 20:36, 20:36] -= 3
    corners = torch.rand(100, 2, generator=torch.Generator().manual_seed(2)) * 26
    regions = torch.cat((corners, corners + 12), dim=1)
    svms = fit_region_svms(
        lambda row, boxes: region_features(detector, pictures[row], boxes), [regions] * 25, [objects] * 25, classes=2
    )
    assert (svms.slope > 0).all()
    install_svms(detector, svms)
    detector.eval()
    with torch.inference_mode():
        found = detector(pictures[0], torch.tensor([[40, 40]]), torch.cat((regions, objects[:, :4]))[None])
    assert found[0, found[0, :, 4] == 0][0, 5] > 0.5
    # In float64: where margins are narrow, slopes are steep.
    detector.double()
    install_svms(detector, svms)
    with torch.no_grad():
        crops = detector.features(detector.dense(pictures[0].double()), (40, 40), [regions.double()])
        probabilities = detector.probabilities(detector.region_head(crops))
        own = detector.region_head.body(crops) @ svms.weight.double().T + svms.bias.double()
    logits = svms.slope.double() * own + svms.intercept.double()
    torch.testing.assert_close(probabilities, logits.sigmoid(), rtol=1e-9, atol=1e-9)


def test_reading_features_leaves_a_detector_in_training() -> None:
    backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, WIDTH))
    detector = DETECTORS["rcnn"].build(
        Network(backbone, nn.Linear(WIDTH, 1), features=WIDTH),
        classes=1,
        channels=1,
        image_hw=(20, 20),
        anchors=AnchorShapes(sizes=(8.0,), ratios=(1.0,)),
        side=8,
    )
    assert isinstance(detector, TwoStageDetector)
    assert region_features(detector, torch.zeros(1, 1, 20, 20), torch.zeros(0, 4)).shape == (0, WIDTH)
    assert detector.training
