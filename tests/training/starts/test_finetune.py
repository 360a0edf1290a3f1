"""Fine-tuning the last stages from cached activations, against training the same stages on images."""

import numpy as np
import pytest
import torch
from torch import nn

from convolve.data.augment.augmentation import build_augmentation
from convolve.errors import UserError
from convolve.networks.network import Network
from convolve.networks.stages import find_stages, join
from convolve.progress import silent
from convolve.training.compute import Compute
from convolve.training.fit import Fit, FitSettings
from convolve.training.optimisers import OPTIMISERS, parameter_groups
from convolve.training.schedules import SCHEDULES
from convolve.training.starts import Job
from convolve.training.starts.finetune import Finetune, unfreezing
from training.small_trainings import GREY, IMAGES, TASK, images_and_targets

AUGMENT = {"flip_horizontal": True, "brightness": 0.2}
SETTINGS = FitSettings(epochs=3, lr=0.05, checkpoint_seconds=0.0, keep="last", seed=3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def network() -> Network:
    """Three stages: 8 x 8, 4 x 4, 2 x 2."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for inputs, outputs, stride in ((1, 4, 1), (4, 6, 2), (6, 8, 2)):
            convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
        backbone = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return Network(backbone, nn.Linear(8, 3), features=8)


def job(folder, *, augment=None, progress=silent, settings=SETTINGS) -> Job:
    folder.mkdir(exist_ok=True)
    images, targets = images_and_targets()

    def make_optimiser(trained, lr_factors=()):
        return OPTIMISERS["sgd"].build(parameter_groups(trained, 1e-3, lr_factors), settings.lr)

    return Job(
        network=network(),
        task=TASK,
        images=images,
        targets=targets,
        train_rows=np.arange(32),
        validation_rows=np.arange(32, IMAGES),
        unlabelled_rows=np.arange(0),
        folds=np.arange(IMAGES) // 3 % 4,
        batch_size=8,
        augmentation=build_augmentation(augment, fill=(127,)) if augment else None,
        augmentation_key=repr(augment),
        preprocessing=GREY,
        compute=Compute(),
        settings=settings,
        make_optimiser=make_optimiser,
        make_schedule=SCHEDULES["cosine"],
        engine_required=False,
        images_key="small trainings",
        folder=folder,
        progress=progress,
    )


def weights(module: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


def on_images(folder, *, stages: int, lr_factor: float = 1.0) -> Network:
    """The last stages trained without a cache: the lower layers run on every image of every epoch."""
    plan = job(folder, augment=AUGMENT)
    found = find_stages(plan.network.backbone, channels=1, image_hw=(8, 8))
    lower = join(found[: len(found) - stages])
    lower.requires_grad_(False)
    top = [(join([stage]), lr_factor ** (len(found) - depth)) for depth, stage in enumerate(found)]
    Fit(
        network=plan.network,
        task=TASK,
        train=plan.training_loader(),
        validation=plan.in_order(plan.validation_rows),
        normalise=GREY.normalise,
        optimiser=plan.make_optimiser(plan.network, top),
        schedule=plan.make_schedule(),
        compute=Compute(),
        settings=SETTINGS,
        folder=plan.folder,
        progress=silent,
        begin_epoch=lambda epoch: lower.eval() and None,
    ).run()
    return plan.network


@pytest.mark.parametrize("stages", [1, 2])
def test_cached_activations_train_what_images_do(tmp_path, stages):
    expected = on_images(tmp_path / "images", stages=stages, lr_factor=0.5)
    plan = job(tmp_path / "cached", augment=AUGMENT)
    trained = Finetune(stages=stages, lr_factors=0.5, freeze_norms=False, probe=False).train(plan)
    assert trained.network is plan.network
    start, found = network().state_dict(), plan.network.state_dict()
    for name, tensor in expected.state_dict().items():
        # Activations are kept as float16: 11 bits, and an error in them grows a little over 12 steps.
        torch.testing.assert_close(found[name].float(), tensor.float(), rtol=5e-3, atol=5e-3, msg=name)
    changed = {name for name in start if not torch.equal(start[name], found[name])}
    frozen = {name for name in start if name.startswith(tuple(f"backbone.{n}." for n in range(9 - 3 * stages)))}
    assert frozen
    assert changed == set(start) - frozen


class Stopped(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("options", [{"stages": 1}, {"gradual": True}, {"stages": 2, "gradual": True}, {"stages": 0}])
def test_stopped_and_gone_on_with_is_undisturbed(tmp_path, options):
    alone = job(tmp_path / "alone", augment=AUGMENT)
    Finetune(**options).train(alone)
    for step in (2, 4, 7, 11):

        def stop(what, done, total, step=step):
            if what == "training" and done == step:
                raise Stopped

        with pytest.raises(Stopped):
            Finetune(**options).train(job(tmp_path / "parted", augment=AUGMENT, progress=stop))
    resumed = job(tmp_path / "parted", augment=AUGMENT)
    Finetune(**options).train(resumed)
    assert weights(resumed.network) == weights(alone.network)
    assert weights(alone.network) != weights(network())


def test_the_head_alone(tmp_path):
    plan = job(tmp_path / "run", augment=AUGMENT)
    Finetune(stages=0, probe=False).train(plan)
    assert weights(plan.network.backbone) == weights(network().backbone)
    assert weights(plan.network.head) != weights(network().head)


def test_gradual_unfreezing_goes_from_the_head_down():
    parts = [nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)) for _ in range(3)]

    def trained(epochs):
        begin, seen = unfreezing(parts, epochs=epochs), []
        for epoch in range(epochs):
            for part in parts:
                part.train()
            begin(epoch)
            seen.append([all(p.requires_grad for p in part.parameters()) for part in parts])
            assert [part[1].training for part in parts] == seen[-1]
        return [sum(one) for one in seen if one == sorted(one)]

    assert trained(6) == [1, 1, 2, 2, 3, 3]
    assert trained(4) == [1, 2, 3, 3]
    assert trained(1) == [3]


def test_what_is_not_yet_unfrozen_keeps_its_bits(tmp_path):
    plan = job(tmp_path / "run", settings=FitSettings(epochs=4, lr=0.05, seed=3, keep="last"))
    seen = []

    def note(what, done, total):
        if what == "training":
            seen.append(weights(plan.network.backbone))

    object.__setattr__(plan, "progress", note)
    Finetune(gradual=True, freeze_norms=False).train(plan)
    before = weights(network().backbone)
    # Four parts in four epochs of four steps: head; and 2 x 2; and 4 x 4; and 8 x 8.
    for step, after in enumerate(seen):
        changed = {int(name.split(".")[0]) // 3 for name in before if before[name] != after[name]}
        assert changed == set(range(3 - step // 4, 3))


def rates(network, groups):
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(p)]: group["lr_factor"] for group in groups for p in group["params"]}


@pytest.mark.parametrize(
    ("factors", "expected"), [(0.5, [0.125, 0.25, 0.5, 1.0]), ([0.1, 0.2, 0.3, 10.0], [0.1, 0.2, 0.3, 10.0])]
)
def test_each_stage_learns_at_its_rate(tmp_path, factors, expected):
    plan, made = job(tmp_path / "run"), []
    inner = plan.make_optimiser
    object.__setattr__(plan, "make_optimiser", lambda *given: made.append(inner(*given)) or made[-1])
    Finetune(lr_factors=factors, probe=False).train(plan)
    factor_of = rates(plan.network, made[0].param_groups)
    for name, _ in network().named_parameters():
        part = 3 if name.startswith("head") else int(name.split(".")[1]) // 3
        assert factor_of[name] == pytest.approx(expected[part])
    # The loop applies them: all groups end at the same multiple.
    shares = {group["lr"] / group["lr_factor"] for group in made[0].param_groups}
    assert max(shares) == pytest.approx(min(shares))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stages": 4}, r"stages=4: the network has 3: 0 to 2 \(8 x 8\); 3 to 5"),
        ({"lr_factors": [1.0, 1.0]}, r"2 numbers for 3 trained stages and the head: 0 to 2"),
        ({"stages": 1, "lr_factors": [1.0]}, r"1 numbers for 1 trained stages and the head: 6 to 10"),
    ],
)
def test_options_that_do_not_suit_the_network_name_its_stages(options, words):
    with pytest.raises(UserError, match=words):
        Finetune(**options).divide(network(), GREY)
