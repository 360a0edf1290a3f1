"""What every registered augmentation has to keep to."""

import inspect
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.augment.transform import TRANSFORMS, Geometric, Mixing, Photometric, Stage
from convolve.data.batch import Batch
from convolve.errors import UserError

NAMES = list(TRANSFORMS)
PLAIN = [name for name in NAMES if TRANSFORMS[name].stage is not Stage.MIXING]
AS_IT_WAS = {name: {next(iter(inspect.signature(TRANSFORMS[name]).parameters)): 0.0} for name in PLAIN}
AS_IT_WAS["crop"] = {"area": 1.0}
KINDS = {
    Stage.GEOMETRY: Geometric,
    Stage.COLOUR: Photometric,
    Stage.NOISE: Photometric,
    Stage.ERASING: Photometric,
    Stage.MIXING: Mixing,
}


def batch_of(rows: list[int], *, channels: int = 3, height: int = 10, width: int = 10) -> Batch:
    """Images that depend on their row alone."""
    generators = [torch.Generator().manual_seed(row) for row in rows]
    images = [torch.rand(channels, height, width, generator=generator) for generator in generators]
    return Batch(torch.stack(images), torch.tensor(rows), np.array(rows))


def changed(name: str, value: Any, batch: Batch, *, seed: int = 0, epoch: int = 0) -> torch.Tensor:
    fill = (40, 90, 200)[: batch.images.shape[1]]
    return build_augmentation({name: value}, fill=fill)(batch, seed=seed, epoch=epoch).images


def test_there_are_enough_to_speak_of_a_contract() -> None:
    assert len(NAMES) >= 17


@pytest.mark.parametrize("name", NAMES)
def test_it_is_of_the_kind_its_stage_says(name: str) -> None:
    transform = TRANSFORMS[name]()
    assert [kind for kind in (Geometric, Photometric, Mixing) if isinstance(transform, kind)] == [
        KINDS[transform.stage]
    ]
    assert transform.draws >= 1


@pytest.mark.parametrize("name", NAMES)
def test_every_option_has_a_default_a_bound_and_words(name: str) -> None:
    hints = get_type_hints(TRANSFORMS[name].__init__, include_extras=True)
    for option, parameter in inspect.signature(TRANSFORMS[name]).parameters.items():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert parameter.default is not inspect.Parameter.empty
        assert hints[option].__metadata__
        assert f"        {option}: " in TRANSFORMS[name].__doc__


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wild", [-1e9, 1e9, float("nan"), float("inf"), "much"])
def test_a_value_out_of_bounds_is_refused(name: str, wild: float | str) -> None:
    for option in inspect.signature(TRANSFORMS[name]).parameters:
        with pytest.raises(UserError, match=rf"augment\.{name}\.{option}="):
            build_augmentation({name: {option: wild}}, fill=(0,))


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_option_is_refused(name: str) -> None:
    first = next(iter(inspect.signature(TRANSFORMS[name]).parameters))
    with pytest.raises(UserError, match=rf"augment\.{name}: unknown option '{first}s'[\s\S]*Did you mean '{first}'"):
        build_augmentation({name: {f"{first}s": 0.1}}, fill=(0,))


@pytest.mark.parametrize("name", NAMES)
def test_false_and_zero_switch_it_off(name: str) -> None:
    assert build_augmentation({name: False}, fill=(0,)).transforms == {}
    assert build_augmentation({name: 0}, fill=(0,)).transforms == {}
    assert list(build_augmentation({name: True}, fill=(0,)).transforms) == [name]


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("channels", [1, 3])
def test_it_changes_nothing_at_no_strength(name: str, channels: int) -> None:
    batch = batch_of(list(range(16)), channels=channels, width=14)
    images = changed(name, AS_IT_WAS[name], batch)
    assert torch.allclose(images, batch.images, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 8, 8), (3, 8, 8), (1, 7, 12), (3, 12, 7), (3, 1, 1)])
def test_shape_type_and_range_are_kept_and_the_argument_too(name: str, channels: int, height: int, width: int) -> None:
    batch = batch_of(list(range(40)), channels=channels, height=height, width=width)
    before = batch.images.clone()
    images = changed(name, True, batch)
    assert images.shape == before.shape
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert torch.equal(batch.images, before)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_key_gives_the_same_images_and_another_gives_others(name: str) -> None:
    batch = batch_of(list(range(16)))
    images = changed(name, True, batch, seed=3, epoch=5)
    torch.rand(7)  # somebody else's randomness does not matter
    assert torch.equal(changed(name, True, batch, seed=3, epoch=5), images)
    assert not torch.equal(changed(name, True, batch, seed=4, epoch=5), images)
    assert not torch.equal(changed(name, True, batch, seed=3, epoch=6), images)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 8), (3, 37)])
def test_an_image_becomes_the_same_in_any_company(name: str, channels: int, side: int) -> None:
    rows = [3, 14, 1, 59, 26, 5, 35, 8, 97, 9]
    together = changed(name, True, batch_of(rows, channels=channels, height=side, width=side))
    for image, row in zip(together, rows, strict=True):
        alone = changed(name, True, batch_of([row], channels=channels, height=side, width=side))
        assert torch.equal(alone[0], image)


@pytest.mark.parametrize("name", NAMES)
def test_images_of_a_batch_are_not_all_changed_alike(name: str) -> None:
    twin = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(0)).expand(32, 3, 9, 9)
    partner = twin.clone()
    partner[1::2] = 1 - twin[1::2]  # for mixing: a neighbour that differs
    images = changed(name, True, Batch(partner, torch.zeros(32), np.arange(32)))
    assert len({image.numpy().tobytes() for image in images[::2]}) >= 2
