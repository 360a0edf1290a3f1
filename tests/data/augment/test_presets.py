import pytest

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.augment.presets import PRESETS, with_preset
from convolve.errors import UserError


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_built(name: str) -> None:
    assert set(build_augmentation(PRESETS[name], fill=(0, 0, 0)).transforms) == set(PRESETS[name])


def test_digits_are_never_mirrored() -> None:
    assert not {"flip_horizontal", "flip_vertical", "quarter_turns"} & set(PRESETS["digits"])


def test_the_recipes_own_words_count_for_more() -> None:
    spec = with_preset({"preset": "photos", "crop": False, "mixup": 0.2})
    assert spec == PRESETS["photos"] | {"crop": False, "mixup": 0.2}
    assert PRESETS["photos"]["crop"] == {"area": 0.5}


def test_without_a_preset_there_is_only_what_is_named() -> None:
    assert with_preset({"rotate": 5.0}) == {"rotate": 5.0}


def test_an_unknown_preset_gets_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown augmentation preset 'photo'[\s\S]*Did you mean 'photos'"):
        with_preset({"preset": "photo"})
