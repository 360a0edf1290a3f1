"""Grad-CAM against Captum's, and on heads and networks of every kind."""

from dataclasses import replace

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from torchvision.models import resnet18

from convolve.errors import UserError
from convolve.networks.heads.neighbours import Neighbours
from convolve.networks.heads.standardised_linear import StandardisedLinear
from convolve.networks.joined_features import JoinedFeatures
from convolve.networks.symmetric_features import SymmetricFeatures
from convolve.randomness import torch_randomness
from convolve.see.inside.grad_cam import deciding_layer, grad_cam
from convolve.see.inside.subject import Subject
from see.inside.subjects import small_body, small_subject


def random_images(*shape):
    with torch_randomness("images for grad-cam", 0):
        return torch.rand(*shape)


def subject_of(network, body, *, side=24, classes=3, **more):
    return Subject(
        network=network.eval(),
        body=body,
        normalise=lambda images: (images - 0.5) / 0.25,
        classes=tuple(f"class {number}" for number in range(classes)),
        channels=3,
        image_hw=(side, side),
        fill=(0.5,) * 3,
        **more,
    )


def captums(subject, layer, images, wanted):
    return LayerGradCam(subject.network, layer).attribute(
        subject.normalise(images), target=wanted, relu_attributions=True
    )[:, 0]


@pytest.mark.parametrize("layer", ["0", "2", "5"])
def test_captum_agrees_on_a_small_network(layer):
    subject, images, wanted = small_subject(), random_images(20, 3, 24, 24), torch.arange(20) % 3
    found = grad_cam(subject, images, wanted, layer)
    expected = captums(subject, subject.body[int(layer)], images, wanted).detach()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert found.shape == expected.shape
    assert float(found.max()) > 1e-4


def test_captum_agrees_on_resnet18():
    with torch_randomness("resnet18", 0):
        network = resnet18(weights=None, num_classes=5)
    subject = subject_of(network, network, side=96, classes=5)
    images, wanted = random_images(2, 3, 96, 96), torch.tensor([3, 1])
    found = grad_cam(subject, images, wanted, "layer3.1.bn2")
    expected = captums(subject, network.layer3[1].bn2, images, wanted).detach()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    last = grad_cam(subject, images, wanted)
    expected = captums(subject, network.layer4, images, wanted).detach()
    torch.testing.assert_close(last, expected, rtol=0, atol=1e-5)
    assert min(float(found.max()), float(last.max())) > 1e-3


def test_what_is_given_with_derivatives_switched_off_or_frozen_works_too():
    subject, images, wanted = small_subject(), random_images(2, 3, 24, 24), torch.tensor([0, 2])
    expected = grad_cam(subject, images, wanted)
    subject.network.requires_grad_(False)
    with torch.inference_mode():
        made_here = images * 1
        assert torch.equal(grad_cam(subject, made_here, wanted), expected)
    with torch.no_grad():
        assert torch.equal(grad_cam(subject, images, wanted), expected)
    assert all(parameter.grad is None for parameter in subject.network.parameters())


def fitted_head(classes=3, width=8):
    with torch_randomness("fitted head", 0):
        return StandardisedLinear(
            mean=torch.rand(width).double(),
            scale=torch.rand(width).double() + 0.5,
            weight=torch.randn(classes, width).double(),
            bias=torch.zeros(classes).double(),
            classes=torch.arange(classes),
            outputs=classes,
        )


def test_a_fitted_head_on_joined_features_is_differentiated():
    with torch_randomness("joined", 0):
        body = small_body().requires_grad_(False)
    joined = JoinedFeatures(body, ["2"])
    head = fitted_head(width=14)
    subject = subject_of(nn.Sequential(joined, head), body)
    images = random_images(2, 3, 24, 24)
    found = grad_cam(subject, images, torch.tensor([1, 2]), "5")
    with torch.no_grad():
        maps = body[:6](subject.normalise(images))
    # Of a mean over places every place has the same slope, so each map weighs its head weight / places.
    weights = (head.weight / head.scale)[[1, 2], :8] / (maps.shape[2] * maps.shape[3])
    expected = torch.einsum("nc,nchw->nhw", weights.float(), maps).relu()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_features_of_early_layers_alone_make_the_last_of_them_the_default():
    with torch_randomness("joined", 0):
        body = small_body()
    subject = subject_of(nn.Sequential(JoinedFeatures(body, ["2"], last=False), fitted_head(width=6)), body)
    assert deciding_layer(subject) == "2"
    assert grad_cam(subject, random_images(1, 3, 24, 24), torch.tensor([0])).shape == (1, 24, 24)
    with pytest.raises(UserError, match="does not depend on layer '5'"):
        grad_cam(subject, random_images(1, 3, 24, 24), torch.tensor([0]), "5")


@pytest.mark.parametrize("symmetry", ["mirror", "turns"])
def test_copies_are_moved_back(symmetry):
    with torch_randomness("symmetric", 0):
        body = small_body()
        symmetric = SymmetricFeatures(body, symmetry)
        subject = subject_of(nn.Sequential(symmetric, nn.Linear(8, 3)), body, upright=symmetric.moved_back)
    image, wanted = random_images(1, 3, 24, 24), torch.tensor([1])
    found = grad_cam(subject, image, wanted)
    assert found.shape == (1, 12, 12)
    # The features are those of the mirrored image too, so its map is the map mirrored.
    mirrored = grad_cam(subject, image.flip(3), wanted)
    torch.testing.assert_close(mirrored, found.flip(2), rtol=0, atol=1e-6)
    plain = subject_of(subject.network, body)
    assert grad_cam(plain, image, wanted).shape[0] == (2 if symmetry == "mirror" else 8)


def test_a_head_without_gradient_is_an_error_that_says_what_works():
    with torch_randomness("neighbours", 0):
        body, vectors = small_body(), torch.rand(10, 8)
    head = Neighbours(
        vectors=vectors, labels=torch.arange(10) % 3, k=torch.tensor(3), classes=torch.arange(3), outputs=3
    )
    subject = subject_of(nn.Sequential(body, head), body)
    with pytest.raises(UserError, match="head has no gradient") as error:
        grad_cam(subject, random_images(1, 3, 24, 24), torch.tensor([0]))
    assert "occlusion" in error.value.remedy


def test_a_network_without_convolution_is_an_error():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 24, 3))
    with pytest.raises(UserError, match="no convolution"):
        grad_cam(subject_of(network, network), random_images(1, 3, 24, 24), torch.tensor([0]))


def test_where_the_answer_is_about_a_place_each_unit_counts_by_its_own_slope():
    """Two equal bright squares, and an answer that reads the left half alone: only the left one may speak for it."""

    class LeftHalf(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = nn.Conv2d(3, 2, 1, bias=False)
            with torch.no_grad():
                self.maps.weight.fill_(1.0)

        def forward(self, images):
            return self.maps(images)[..., : images.shape[-1] // 2].mean(dim=(2, 3))

    network = LeftHalf().eval()
    subject = Subject(
        network=network,
        body=network,
        normalise=lambda images: images,
        classes=("one", "other"),
        channels=3,
        image_hw=(8, 16),
        fill=(0.0,) * 3,
    )
    image = torch.zeros(1, 3, 8, 16)
    image[..., 2:5, 2:5] = image[..., 2:5, 11:14] = 1.0
    wanted = torch.tensor([0])
    everywhere = grad_cam(subject, image, wanted)[0]
    there = grad_cam(replace(subject, of_a_place=True), image, wanted)[0]
    assert torch.equal(everywhere[:, :8], everywhere[:, 8:].roll(-1, dims=1)), "a mean slope cannot tell them apart"
    assert there[2:5, 2:5].min() > 0
    assert not there[:, 8:].any()
