import numpy as np
import pytest

from convolve.data.augment.transform import TRANSFORMS
from convolve.geometry import Matrices
from convolve.randomness import uniforms


def drawn(name: str, strength: float, *, image_hw: tuple[int, int] = (20, 50), count: int = 4000) -> Matrices:
    first = {"scale": "ratio", "aspect": "ratio", "translate": "share", "quarter_turns": "probability"}
    transform = TRANSFORMS[name](**{first.get(name, "degrees"): strength})
    return transform.matrices(uniforms(0, name, rows=np.arange(count), count=transform.draws), image_hw=image_hw)


def assert_uniform(values: np.ndarray, low: float, high: float) -> None:
    expected = np.linspace(low, high, 11)
    assert np.allclose(np.quantile(values, np.linspace(0, 1, 11)), expected, atol=0.03 * (high - low))
    assert values.min() >= low - 1e-9
    assert values.max() <= high + 1e-9


def test_angles_go_both_ways_evenly() -> None:
    matrices = drawn("rotate", 30)
    assert np.allclose(matrices[:, :2, :2] @ matrices[:, :2, :2].transpose(0, 2, 1), np.eye(2))
    assert_uniform(np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])), -30, 30)


def test_slants_go_both_ways_evenly_and_rows_stay_horizontal() -> None:
    matrices = drawn("shear", 30)
    assert_uniform(np.degrees(np.arctan(matrices[:, 0, 1])), -30, 30)
    assert (matrices[:, 1] == [0, 1, 0]).all()


def test_enlarging_is_as_frequent_as_shrinking() -> None:
    matrices = drawn("scale", 0.5)
    assert_uniform(np.log(matrices[:, 0, 0]), -np.log(1.5), np.log(1.5))
    assert np.array_equal(matrices[:, 0, 0], matrices[:, 1, 1])


def test_wide_is_as_frequent_as_tall_and_areas_stay() -> None:
    matrices = drawn("aspect", 0.5)
    assert_uniform(np.log(matrices[:, 0, 0] / matrices[:, 1, 1]), -np.log(1.5), np.log(1.5))
    assert np.allclose(np.linalg.det(matrices), 1)


def test_shifts_are_shares_of_width_and_height_and_independent() -> None:
    x, y = drawn("translate", 0.1)[:, :2, 2].T
    assert_uniform(x, -5, 5)
    assert_uniform(y, -2, 2)
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(0, abs=0.05)


def test_oblong_images_are_only_turned_upside_down() -> None:
    cosines = drawn("quarter_turns", 0.75)[:, 0, 0]
    assert set(cosines) == {1, -1}
    assert cosines.mean() == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("probability", [0.3, 0.75, 1.0])
def test_quarter_turns_are_equally_frequent(probability: float) -> None:
    matrices = drawn("quarter_turns", probability, image_hw=(20, 20))
    angles = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])).round() % 360
    shares = [(angles == angle).mean() for angle in (0, 90, 180, 270)]
    assert shares == pytest.approx([1 - probability] + 3 * [probability / 3], abs=0.03)
