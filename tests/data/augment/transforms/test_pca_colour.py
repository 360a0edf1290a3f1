import numpy as np
import pytest
import torch

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.augment.transforms.pca_colour import IMAGENET_EIGENVALUES, IMAGENET_EIGENVECTORS, PcaColour
from convolve.errors import UserError
from convolve.randomness import uniforms

VECTORS = np.array(IMAGENET_EIGENVECTORS).reshape(3, 3).T  # one a column


def jitters(transform: PcaColour, count: int = 40_000) -> np.ndarray:
    middle = torch.full((count, 3, 1, 1), 0.5)
    return transform.apply(middle, uniforms(0, rows=np.arange(count), count=3))[:, :, 0, 0].double().numpy() - 0.5


def test_the_constants_are_orthonormal_and_make_imagenets_covariance() -> None:
    assert np.allclose(VECTORS.T @ VECTORS, np.eye(3), atol=1e-3)
    covariance = VECTORS @ np.diag(IMAGENET_EIGENVALUES) @ VECTORS.T
    expected = [[0.0805, 0.0702, 0.0634], [0.0702, 0.0764, 0.0722], [0.0634, 0.0722, 0.0839]]
    assert np.allclose(covariance, expected, atol=1e-4)


def test_many_jitters_have_the_covariance_of_the_papers_formula() -> None:
    expected = VECTORS @ np.diag((0.1 * np.array(IMAGENET_EIGENVALUES)) ** 2) @ VECTORS.T
    seen = jitters(PcaColour())
    assert np.abs(seen.mean(axis=0)).max() < 4e-4
    assert np.allclose(np.cov(seen.T), expected, rtol=0.05)
    assert seen.std(axis=0) == pytest.approx(0.0125, abs=3e-4)


def test_own_principal_components_take_their_place() -> None:
    pixels = np.random.default_rng(0).multivariate_normal([0.5] * 3, [[9, 2, 1], [2, 4, 0], [1, 0, 2]], 5000) / 100
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    own = PcaColour(std=1.0, eigenvalues=tuple(values), eigenvectors=tuple(vectors.T.flatten()))
    assert np.allclose(np.cov(jitters(own).T), np.cov(pixels.T) @ np.cov(pixels.T), rtol=0.1, atol=1e-8)


def test_a_whole_image_gets_one_colour() -> None:
    images = 0.4 + 0.2 * torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    added = PcaColour().apply(images, uniforms(0, rows=np.arange(4), count=3)) - images
    assert torch.allclose(added, added[:, :, :1, :1].expand_as(added), atol=1e-6)


def test_the_rarest_draw_is_finite() -> None:
    assert torch.isfinite(PcaColour().apply(torch.rand(1, 3, 2, 2), np.zeros((1, 3)))).all()


def test_vectors_that_are_no_basis_are_refused() -> None:
    with pytest.raises(UserError, match=r"pca_colour.eigenvectors are not orthonormal[\s\S]*eigh"):
        build_augmentation({"pca_colour": {"eigenvectors": [1, 0, 0, 1, 0, 0, 0, 0, 1]}}, fill=(0, 0, 0))
