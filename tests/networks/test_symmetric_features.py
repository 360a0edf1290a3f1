import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.networks.symmetric_features import SymmetricFeatures
from convolve.training.features import module_digest


def backbone():
    return nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(7)).double()


IMAGES = torch.rand(4, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

COPIES = {
    "mirror": [torch.fliplr],
    "flips": [torch.fliplr, torch.flipud, lambda one: torch.rot90(one, 2)],
    "turns": [lambda one, k=k, f=f: torch.rot90(torch.fliplr(one) if f else one, k) for k in range(4) for f in (0, 1)],
}


def moved(images, copy):
    """By torch's functions for matrices (H, W, ...), which know nothing of batches and channels."""
    return torch.stack([copy(image.permute(1, 2, 0)).permute(2, 0, 1) for image in images])


@pytest.mark.parametrize("symmetry", COPIES)
def test_features_of_an_image_and_of_its_copies_are_the_same(symmetry):
    features = SymmetricFeatures(backbone(), symmetry)
    plain = features(IMAGES)
    for copy in COPIES[symmetry]:
        torch.testing.assert_close(features(moved(IMAGES, copy)), plain)


@pytest.mark.parametrize("symmetry", COPIES)
def test_features_are_the_mean_over_the_copies(symmetry):
    network = backbone()
    copies = [IMAGES, *(moved(IMAGES, copy) for copy in COPIES[symmetry])]
    distinct = {tuple(copy.flatten().tolist()): copy for copy in copies}.values()
    assert len(distinct) == {"mirror": 2, "flips": 4, "turns": 8}[symmetry]
    expected = torch.stack([network(copy) for copy in distinct]).mean(dim=0)
    torch.testing.assert_close(SymmetricFeatures(network, symmetry)(IMAGES), expected)


def test_mirrored_features_still_tell_up_from_down():
    features = SymmetricFeatures(backbone(), "mirror")
    assert not torch.allclose(features(IMAGES.flip(2)), features(IMAGES))


def test_quarter_turns_of_oblong_images_are_refused():
    with pytest.raises(UserError, match="square"):
        SymmetricFeatures(backbone(), "turns")(torch.rand(1, 3, 8, 9, dtype=torch.float64))


def test_two_symmetries_of_one_backbone_are_two_functions_to_the_cache():
    network = backbone()
    network(IMAGES)
    digests = {module_digest(SymmetricFeatures(network, symmetry)) for symmetry in COPIES}
    assert len(digests) == len(COPIES)


@pytest.mark.parametrize("symmetry", ["none", *COPIES])
def test_maps_of_the_copies_are_moved_back_to_the_image(symmetry):
    seen = []

    class Pixels(nn.Module):
        def forward(self, images):
            seen.append(images)
            return images.flatten(1)

    features = SymmetricFeatures(Pixels(), symmetry)
    features(IMAGES)
    torch.testing.assert_close(features.moved_back(seen[0]), IMAGES)
    torch.testing.assert_close(features.moved_back(seen[0][:, 0]), IMAGES[:, 0])
