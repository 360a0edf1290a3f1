import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import transform as skimage_transform
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from convolve.geometry import (
    Matrices,
    compose,
    identity,
    resample,
    rotation,
    sampling_theta,
    scaling,
    shearing,
    transform_boxes,
    translation,
)

NOTHING = torch.zeros(3)


def one(number: float) -> np.ndarray:
    return np.array([number])


def images(count: int = 1, channels: int = 3, height: int = 12, width: int = 16) -> torch.Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(0))


def smooth() -> torch.Tensor:
    return tv.gaussian_blur(images(height=20, width=20), kernel_size=5)


def test_matrices_by_hand() -> None:
    point = np.array([2.0, 1.0, 1.0])
    assert np.allclose(translation(one(3), one(-1)) @ point, [[5, 0, 1]])
    assert np.allclose(scaling(one(2), one(-1)) @ point, [[4, -1, 1]])
    assert np.allclose(rotation(one(90)) @ point, [[-1, 2, 1]])
    assert np.allclose(shearing(one(45)) @ point, [[3, 1, 1]])


def test_the_first_step_is_done_first() -> None:
    moved_then_doubled = compose(translation(one(1), one(0)), scaling(one(2), one(2)))
    assert np.allclose(moved_then_doubled @ [0, 0, 1], [[2, 0, 1]])


@given(st.floats(-180, 180), st.floats(0.2, 5), st.floats(-50, 50))
def test_a_step_and_its_inverse_cancel(angle: float, factor: float, shift: float) -> None:
    there = compose(rotation(one(angle)), scaling(one(factor), one(factor)), translation(one(shift), one(0)))
    back = compose(translation(one(-shift), one(0)), scaling(one(1 / factor), one(1 / factor)), rotation(one(-angle)))
    assert np.allclose(compose(there, back), identity(1), atol=1e-9)


def test_theta_drives_torchs_affine_grid() -> None:
    matrices = compose(rotation(one(20)), translation(one(1.5), one(-2)))
    theta = sampling_theta(matrices, image_hw=(12, 16))
    grid = torch.nn.functional.affine_grid(theta, [1, 3, 12, 16], align_corners=False)
    expected = torch.nn.functional.grid_sample(images(), grid, align_corners=False)
    assert torch.allclose(resample(images(), matrices, fill=NOTHING), expected, atol=1e-5)


def test_rotation_scale_and_shift_are_torchvisions() -> None:
    matrices = compose(scaling(one(1.3), one(1.3)), rotation(one(25)), translation(one(2), one(-3)))
    expected = tv.affine(
        images(), angle=25, translate=[2, -3], scale=1.3, shear=[0, 0], interpolation=InterpolationMode.BILINEAR
    )
    assert torch.allclose(resample(images(), matrices, fill=NOTHING), expected, atol=1e-4)


def test_shear_is_torchvisions_the_other_way() -> None:
    expected = tv.affine(
        images(), angle=0, translate=[0, 0], scale=1, shear=[-15, 0], interpolation=InterpolationMode.BILINEAR
    )
    assert torch.allclose(resample(images(), shearing(one(15)), fill=NOTHING), expected, atol=1e-4)


def test_resampling_is_skimages() -> None:
    matrices = compose(scaling(one(0.8), one(1.2)), rotation(one(-33)), translation(one(1.25), one(0.5)))
    # skimage counts pixels by their centres, from the top left one.
    to_centre = np.array([[1, 0, -7.5], [0, 1, -5.5], [0, 0, 1]])
    by_pixels = np.linalg.inv(to_centre) @ matrices[0] @ to_centre
    expected = skimage_transform.warp(
        images()[0].permute(1, 2, 0).numpy(), np.linalg.inv(by_pixels), order=1, mode="constant", cval=0.25
    )
    moved = resample(images(), matrices, fill=torch.full((3,), 0.25))[0].permute(1, 2, 0).numpy()
    assert np.allclose(moved, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("matrices", "expected"),
    [
        (identity(1), lambda image: image),
        (scaling(one(-1), one(1)), lambda image: image.flip(-1)),
        (scaling(one(1), one(-1)), lambda image: image.flip(-2)),
        (scaling(one(-1), one(-1)), lambda image: image.rot90(2, (-2, -1))),
        (np.rint(rotation(one(90))), lambda image: image.rot90(-1, (-2, -1))),
        (np.rint(rotation(one(270))), lambda image: image.rot90(1, (-2, -1))),
        (compose(np.rint(rotation(one(90))), scaling(one(-1), one(1))), lambda image: image.mT),
        (compose(np.rint(rotation(one(90))), scaling(one(1), one(-1))), lambda image: image.rot90(2, (-2, -1)).mT),
    ],
)
def test_mirror_images_and_quarter_turns_are_exact(matrices: Matrices, expected) -> None:
    square = images(height=9, width=9)
    assert torch.equal(resample(square, matrices, fill=NOTHING), expected(square))
    # and the interpolating way agrees, so both mean the same by a matrix
    nearly = compose(matrices, translation(one(1e-6), one(0)))
    assert torch.allclose(resample(square, nearly, fill=NOTHING), expected(square), atol=1e-4)


def test_a_quarter_turn_of_an_oblong_image_is_filled_at_its_ends() -> None:
    turned = resample(torch.ones(1, 3, 4, 8), np.rint(rotation(one(90))), fill=torch.full((3,), 0.5))
    assert torch.allclose(turned[0, 0], torch.tensor([0.5, 0.5, 1, 1, 1, 1, 0.5, 0.5]).expand(4, 8))


def test_moved_and_interpolated_images_can_share_a_batch() -> None:
    batch = images(3)
    matrices = np.concatenate([scaling(one(-1), one(1)), rotation(one(10)), identity(1)])
    moved = resample(batch, matrices, fill=NOTHING)
    assert torch.equal(moved[0], batch[0].flip(-1))
    assert torch.equal(moved[1:2], resample(batch[1:2], matrices[1:2], fill=NOTHING))
    assert torch.equal(moved[2], batch[2])


def test_there_and_back_is_nearly_nothing() -> None:
    there = resample(smooth(), rotation(one(20)), fill=NOTHING)
    back = resample(there, rotation(one(-20)), fill=NOTHING)
    assert (back - smooth())[..., 6:14, 6:14].abs().max() < 0.05


def test_names_are_not_averaged() -> None:
    classes = torch.randint(0, 7, (1, 1, 16, 16), generator=torch.Generator().manual_seed(0)).float()
    moved = resample(classes, rotation(one(30)), fill=torch.tensor([255.0]), mode="nearest")
    assert set(moved.unique().tolist()) <= {0, 1, 2, 3, 4, 5, 6, 255}
    assert moved[0, 0, 0, 0] == 255


corner = st.floats(0, 32)


@settings(deadline=None)
@given(st.tuples(corner, corner, corner, corner), st.floats(-180, 180), st.floats(0.5, 2), st.floats(-8, 8))
def test_a_moved_box_holds_every_moved_point_that_is_still_inside(
    sides: tuple[float, float, float, float], angle: float, factor: float, shift: float
) -> None:
    left, right = sorted(sides[:2])
    top, bottom = sorted(sides[2:])
    matrices = compose(rotation(one(angle)), scaling(one(factor), one(1)), translation(one(shift), one(shift)))
    box = torch.tensor([[left, top, right, bottom]], dtype=torch.float64)
    [moved] = transform_boxes(box, matrices, image_hw=(32, 32)).tolist()
    x, y = np.meshgrid(np.linspace(left, right, 7), np.linspace(top, bottom, 7))
    points = matrices[0] @ np.stack([x.ravel() - 16, y.ravel() - 16, np.ones(49)])
    for px, py in points[:2].T + 16:
        if 0 <= px <= 32 and 0 <= py <= 32:
            assert moved[0] - 1e-6 <= px <= moved[2] + 1e-6
            assert moved[1] - 1e-6 <= py <= moved[3] + 1e-6
    assert 0 <= moved[0] <= moved[2] <= 32
    assert 0 <= moved[1] <= moved[3] <= 32


def test_the_box_of_a_moved_rectangle_is_the_moved_box() -> None:
    rng = np.random.default_rng(0)
    box = torch.tensor([[20.0, 24.0, 40.0, 44.0]])
    rectangle = torch.zeros(1, 1, 64, 64)
    rectangle[..., 24:44, 20:40] = 1
    for angle, factor, shift in rng.uniform([-40, 0.8, -10], [40, 1.2, 10], (20, 3)):
        matrices = compose(
            rotation(one(angle)), scaling(one(factor), one(factor)), translation(one(shift), one(-shift))
        )
        rows, columns = np.nonzero(resample(rectangle, matrices, fill=torch.zeros(1))[0, 0].numpy() > 0.01)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.allclose(transform_boxes(box, matrices, image_hw=(64, 64))[0], seen, atol=1.6)


def test_boxes_by_hand() -> None:
    boxes = torch.tensor([[1.0, 2.0, 5.0, 4.0], [1.0, 2.0, 5.0, 4.0], [1.0, 2.0, 5.0, 4.0]])
    matrices = np.concatenate([scaling(one(-1), one(1)), translation(one(7), one(0)), translation(one(20), one(0))])
    expected = [[5, 2, 9, 4], [8, 2, 10, 4], [10, 2, 10, 4]]
    assert transform_boxes(boxes, matrices, image_hw=(6, 10)).tolist() == expected
    assert transform_boxes(torch.zeros(0, 4), identity(0), image_hw=(6, 10)).shape == (0, 4)
