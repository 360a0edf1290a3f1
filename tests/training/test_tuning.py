"""Which layers of a network for masks are trained, how fast, and with which statistics."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from convolve.data.content import content_hashes
from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Sample
from convolve.data.map_batches import CropBatches, WholeBatches
from convolve.data.native_pack import pack_native
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.errors import UserError
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps.building import build_network, build_pixel_network
from convolve.progress import silent
from convolve.randomness import torch_randomness
from convolve.registry import checked_options
from convolve.tasks.segment.pixels import Pixels
from convolve.training.compute import Compute
from convolve.training.fit import FitSettings
from convolve.training.optimisers import OPTIMISERS, parameter_groups
from convolve.training.schedules import SCHEDULES
from convolve.training.tuning import Tuning, TuningJob, fit_tuned, tuning

CLASSES = ("ground", "grass")
LR = 0.01


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def pack():
    """6 images of 16 x 24: grass is bright."""
    chance = np.random.default_rng(0)
    samples = []
    for row in range(6):
        mask = np.kron(chance.integers(0, 2, (4, 6)), np.ones((4, 4))).astype(np.uint8)
        image = (chance.integers(0, 60, (16, 24, 3)) + 120 * mask[:, :, None]).astype(np.uint8)
        mask[0] = IGNORE
        samples.append(Sample(f"{row}.png", image, Mask(mask)))
    dataset = Dataset(
        "yard", "by hand", CLASSES, tuple(samples), coding=MaskCoding("index", ((0,), (1,)), ignored=(IGNORE,))
    )
    return pack_native(dataset, hashes=content_hashes(dataset))


def job(folder: Path, how: Tuning | None, *, groups: list[dict[str, object]] | None = None) -> TuningJob[PixelNetwork]:
    """A training of two epochs; `groups` gets what the optimiser is given."""
    packed = pack()
    preprocessing = PixelPreprocessing(
        channels=3, low=(0.0,) * 3, high=(255.0,) * 3, mean=(0.4,) * 3, std=(0.2,) * 3, scale=1.0
    )
    with torch_randomness(0, "weights"):
        size = {"outputs": 2, "channels": 3, "image_hw": (16, 24)}
        network = build_network("residual", {"depth": 8, "width": 4}, **size)
        pixels = build_pixel_network("unet", {}, network, **size)
    train, validation = np.arange(4), np.arange(4, 6)

    def make_optimiser(trained, lr_factors=()):
        made = parameter_groups(trained, 1e-4, lr_factors)
        if groups is not None:
            groups.extend(made)
        return OPTIMISERS["sgd"].build(made, LR)

    return TuningJob(
        network=pixels,
        loaded=None,
        objective=Pixels(CLASSES),
        train=CropBatches(packed, train, crop_hw=(16, 24), batch_size=2, seed=0, preprocessing=preprocessing),
        validation=WholeBatches(packed, validation, preprocessing=preprocessing, largest=10_000),
        train_images=4,
        validation_images=2,
        normalise=preprocessing.normalise,
        tuning=how,
        compute=Compute(),
        settings=FitSettings(epochs=2, lr=LR),
        make_optimiser=make_optimiser,
        make_schedule=lambda: SCHEDULES["constant"](),
        folder=folder,
        progress=silent,
    )


def moved(one: TuningJob[PixelNetwork]) -> tuple[set[str], set[str]]:
    """Parts with parameters, and with statistics, that the last step left unlike at the beginning.

    What is trained in place is compared, not what was best, which may be the state before training.
    """
    before = {name: tensor.clone() for name, tensor in one.network.state_dict().items()}
    seen = {}

    def watch(network, inputs, outputs):
        if network.training:
            seen.update({name: tensor.clone() for name, tensor in network.state_dict().items()})

    hook = one.network.register_forward_hook(watch)
    fit_tuned(one)
    hook.remove()
    changed = [name for name, tensor in before.items() if not torch.equal(tensor, seen[name])]
    parts = [(part_of(name), name.rsplit(".", 1)[1]) for name in changed]
    statistics = {part for part, kind in parts if kind == "running_mean"}
    return {part for part, kind in parts if kind in ("weight", "bias")}, statistics


def part_of(name: str) -> str:
    return f"stage {name.split('.')[2]}" if name.startswith("pyramid.") else "decoder"


STAGES = {"stage 0", "stage 1", "stage 2"}


@pytest.mark.parametrize(
    ("how", "parameters", "statistics"),
    [
        (None, STAGES | {"decoder"}, STAGES | {"decoder"}),
        (tuning(), STAGES | {"decoder"}, STAGES | {"decoder"}),
        (tuning(stages=2), {"stage 1", "stage 2", "decoder"}, {"stage 1", "stage 2", "decoder"}),
        (tuning(stages=1), {"stage 2", "decoder"}, {"stage 2", "decoder"}),
        (tuning(stages=0), {"decoder"}, {"decoder"}),
        (tuning(freeze_norms=True), STAGES | {"decoder"}, {"decoder"}),
        (tuning(stages=1, freeze_norms=True), {"stage 2", "decoder"}, {"decoder"}),
    ],
)
def test_what_is_frozen_stays_and_all_else_moves(tmp_path, how, parameters, statistics):
    assert moved(job(tmp_path, how)) == (parameters, statistics)


def test_the_encoder_learns_slower_than_what_is_new(tmp_path):
    groups: list[dict[str, object]] = []
    one = job(tmp_path, tuning(lr_factor=0.1), groups=groups)
    fit_tuned(one)
    encoder = {id(parameter) for stage in one.network.encoder_stages for parameter in stage.parameters()}
    factors: dict[float, set[int]] = {}
    for group in groups:
        factors.setdefault(group["lr_factor"], set()).update(id(parameter) for parameter in group["params"])
    assert factors.keys() == {0.1, 1.0}
    assert factors[0.1] == encoder
    assert factors[1.0] == {id(parameter) for parameter in one.network.parameters()} - encoder


def test_from_random_values_all_layers_learn_alike(tmp_path):
    groups: list[dict[str, object]] = []
    fit_tuned(job(tmp_path, None, groups=groups))
    assert {group["lr_factor"] for group in groups} == {1.0}


def test_freezing_names_the_stages_that_stay_in_test_mode(tmp_path):
    one = job(tmp_path, tuning(stages=1))
    assert one.freeze() == list(one.network.encoder_stages[:2])
    trained = {name for name, parameter in one.network.named_parameters() if parameter.requires_grad}
    assert {part_of(name) for name in trained} == {"stage 2", "decoder"}
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in one.network.encoder_stages[0].modules())


def test_more_stages_than_there_are_is_said_with_their_number(tmp_path):
    with pytest.raises(UserError, match=r'start\.options\.stages=4: the encoder has 3\n.*at most 3, or "all"'):
        job(tmp_path, tuning(stages=4)).freeze()


@pytest.mark.parametrize(("option", "words"), [({"stages": -1}, "stages"), ({"lr_factor": 0}, "lr_factor")])
def test_options_are_checked_before_work(option, words):
    with pytest.raises(UserError, match=rf"start\.options\.{words}"):
        checked_options(tuning, option, where="start.options")
