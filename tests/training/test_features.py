from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from convolve.data.augment.augmentation import build_augmentation
from convolve.errors import UserError
from convolve.networks.joined_features import JoinedFeatures
from convolve.progress import silent
from convolve.training.compute import Compute
from convolve.training.features import frozen_features, frozen_outputs
from convolve.training.fit import FitSettings
from convolve.training.starts import Job
from training.small_trainings import GREY, IMAGES, TASK, convolutional, images_and_targets, loader

ROWS = np.array([5, 3, 40, 3, 7, 11, 12])
AUGMENT = {"flip_horizontal": True, "rotate": 10, "brightness": 0.2}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CONVOLVE_CACHE", str(tmp_path / "cache"))


def make_job(folder, *, augment=None, engine="openvino", progress=silent):
    images, targets = images_and_targets()
    rows = np.arange(IMAGES)
    return Job(
        network=None,
        task=TASK,
        images=images,
        targets=targets,
        train_rows=rows[:32],
        validation_rows=rows[32:],
        unlabelled_rows=rows[:0],
        folds=rows % 5,
        batch_size=4,
        augmentation=build_augmentation(augment, fill=(127,)) if augment else None,
        augmentation_key=repr(augment),
        preprocessing=GREY,
        compute=Compute(engine=engine),
        engine_required=False,
        settings=FitSettings(epochs=1, lr=0.1),
        make_optimiser=None,
        make_schedule=None,
        images_key="small",
        folder=folder,
        progress=progress,
    )


def maps():
    return nn.Sequential(*convolutional()[:4])


def computed_directly(module, batch):
    with torch.inference_mode():
        return module.eval()(GREY.normalise(batch.images)).numpy()


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_maps_of_plain_and_augmented_images(tmp_path, engine):
    job = make_job(tmp_path, augment=AUGMENT, engine=engine)
    plain = frozen_outputs(job, maps(), rows=ROWS, draw=None)
    assert (plain.shape, plain.dtype) == ((7, 4, 4, 4), np.float32)
    batch = loader(ROWS, batch_size=7, shuffle=False).batch(0, 0)
    np.testing.assert_allclose(plain, computed_directly(maps(), batch), atol=1e-5)
    drawn = [frozen_outputs(job, maps(), rows=ROWS, draw=epoch) for epoch in (0, 3)]
    for epoch, outputs in zip((0, 3), drawn, strict=True):
        batch = loader(ROWS, batch_size=7, augment=AUGMENT, shuffle=False).batch(epoch, 0)
        np.testing.assert_allclose(outputs, computed_directly(maps(), batch), atol=1e-4)
    assert not np.allclose(drawn[0], drawn[1])


def test_a_training_sees_the_same_augmented_images(tmp_path):
    """Whatever batch they are in, and in whatever order."""
    drawn = frozen_outputs(make_job(tmp_path, augment=AUGMENT), maps(), rows=np.arange(IMAGES), draw=2)
    batches = loader(range(IMAGES), batch_size=5, augment=AUGMENT, shuffle=True)
    for batch in batches.epoch(2):
        np.testing.assert_allclose(drawn[batch.rows], computed_directly(maps(), batch), atol=1e-4)


def test_nothing_is_computed_twice(tmp_path):
    told = []
    job = make_job(tmp_path, augment=AUGMENT, progress=lambda what, *_: told.append(what))

    def computes(module=None, **options):
        told.clear()
        settings = {"rows": ROWS, "draw": 0} | options
        outputs = frozen_outputs(settings.pop("job", job), module or maps(), **settings)
        return bool(told), np.array(outputs)

    first, outputs = computes()
    again, kept = computes()
    assert (first, again) == (True, False)
    assert np.array_equal(outputs, kept)
    other_weights = maps()
    with torch.no_grad():
        other_weights[0].weight[0, 0, 0, 0] += 1e-3
    changes = [
        {"draw": 1},
        {"draw": None},
        {"module": JoinedFeatures(maps(), ["0"], last=False)},
        {"module": JoinedFeatures(maps(), ["1"], last=False)},
        {"rows": ROWS[:-1]},
        {"half": True},
        {"module": other_weights},
        {"job": replace(job, augmentation_key="other")},
        {"job": replace(job, images_key="other")},
        {"job": replace(job, settings=replace(job.settings, seed=1))},
        {"job": replace(job, compute=Compute(channels_last=not job.compute.channels_last))},
    ]
    assert [computes(**change)[0] for change in changes] == [True] * len(changes)
    # Plain images know nothing of the augmentation.
    assert not computes(draw=None, job=replace(job, augmentation_key="other"))[0]


def test_outputs_are_mapped_from_disk_and_half_the_size_as_wished(tmp_path):
    job = make_job(tmp_path)
    large = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        large[1].weight.fill_(0.0)
        large[1].bias.copy_(torch.tensor([1e6, 1 / 3]))
    outputs = frozen_outputs(job, large, rows=ROWS, draw=None, half=True)
    assert isinstance(outputs, np.memmap)
    assert not outputs.flags.writeable
    assert outputs.dtype == np.float16
    assert np.array_equal(outputs, np.tile(np.array([65504, 1 / 3], np.float16), (7, 1)))


def test_features_of_all_images_and_a_module_left_as_it_was(tmp_path):
    module = nn.Sequential(*convolutional()[:6])
    module.train()
    features = frozen_features(make_job(tmp_path), module)
    assert all(part.training for part in module.modules())
    batch = loader(range(IMAGES), batch_size=IMAGES, shuffle=False).batch(0, 0)
    np.testing.assert_allclose(features.numpy(), computed_directly(module, batch), atol=1e-5)


def test_mixed_images_cannot_be_computed_ahead(tmp_path):
    job = make_job(tmp_path, augment={"mixup": 0.2, "flip_horizontal": True})
    with pytest.raises(UserError, match="mixup mixes images") as refused:
        frozen_outputs(job, maps(), rows=ROWS, draw=0)
    assert "augment.mixup=false" in str(refused.value)
