import json

import numpy as np
import pytest
import torch

from convolve.data.augment.augmentation import build_augmentation
from convolve.errors import UserError
from convolve.networks.catalogue import find_architecture
from convolve.progress import silent
from convolve.training.compute import Compute
from convolve.training.pretraining import PRETRAINING
from convolve.training.pretraining.pretrain import Pretraining, pretrain, some_rows
from convolve.training.pretraining.vicreg import VicReg
from training.small_trainings import GREY, images_and_targets


def work(folder, *, method=None, progress=silent, epochs=3, **settings):
    torch.manual_seed(0)
    network = find_architecture("mlp").create(3, channels=1, image_hw=(8, 8), options={"hidden": [16]})
    return Pretraining(
        network=network,
        method=method or VicReg(),
        images=images_and_targets()[0],
        rows=np.arange(40),
        augmentation=build_augmentation({"noise": 0.1, "translate": 0.1}, fill=(0,)),
        preprocessing=GREY,
        compute=Compute(),
        epochs=epochs,
        batch_size=8,
        seed=3,
        checkpoint_seconds=0.0,
        folder=folder,
        progress=progress,
        **settings,
    )


class KilledError(Exception):
    pass


@pytest.mark.parametrize("name", list(PRETRAINING))
@pytest.mark.parametrize("at", [1, 7, 15])
def test_a_killed_pretraining_ends_as_an_undisturbed_one_bit_for_bit(tmp_path, name, at):
    def kill(what, done, total):
        if what == "pre-training" and done == at:
            raise KilledError

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    undisturbed = work(whole, method=PRETRAINING[name]())
    expected = pretrain(undisturbed)
    with pytest.raises(KilledError):
        pretrain(work(parts, method=PRETRAINING[name](), progress=kill))
    resumed = work(parts, method=PRETRAINING[name]())
    found = pretrain(resumed)
    assert found.figures == expected.figures
    before, after = undisturbed.network.backbone.state_dict(), resumed.network.backbone.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_finished_pretraining_is_loaded_and_not_done_again(tmp_path):
    first = work(tmp_path)
    done = pretrain(first)

    def no_training(what, done, total):
        raise AssertionError(what)

    again = work(tmp_path, progress=no_training)
    assert pretrain(again) == done
    assert all(
        torch.equal(one, other)
        for one, other in zip(first.network.state_dict().values(), again.network.state_dict().values(), strict=True)
    )


def test_without_the_variance_term_embeddings_collapse_and_that_is_an_error(tmp_path):
    collapsing = work(tmp_path, method=VicReg(variance=0.0, covariance=0.0), epochs=40, lr=0.01)
    with pytest.raises(UserError, match="pre-training collapsed"):
        pretrain(collapsing)
    assert not (tmp_path / "backbone.safetensors").exists()


def test_the_history_has_the_spread_of_every_epoch(tmp_path):
    pretrain(work(tmp_path))
    epochs = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert len(epochs) == 3
    assert all(0 < epoch["validation"]["spread"] < 1.2 for epoch in epochs)


def test_labelled_rows_are_always_among_those_that_are_learned_from():
    labelled, others = np.array([5, 90]), np.setdiff1d(np.arange(100), [5, 90])
    few = some_rows(labelled, others, at_most=10, seed=0)
    assert len(few) == len(set(few.tolist())) == 10
    assert {5, 90} <= set(few.tolist())
    assert some_rows(labelled, others, at_most=0, seed=0).tolist() == list(range(100))


def test_more_labelled_rows_than_wanted_are_drawn_from():
    labelled, others = np.arange(0, 60), np.arange(60, 100)
    few = some_rows(labelled, others, at_most=10, seed=0)
    assert len(set(few.tolist())) == 10
    assert set(few.tolist()) < set(labelled.tolist())
    assert few.tolist() != some_rows(labelled, others, at_most=10, seed=1).tolist()


def test_a_collapse_is_found_in_the_same_epoch_after_an_interruption(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"

    def epochs_until_collapse(folder, progress=silent):
        folder.mkdir(exist_ok=True)
        with pytest.raises(UserError, match="pre-training collapsed"):
            pretrain(work(folder, method=VicReg(variance=0.0, covariance=0.0), epochs=40, lr=0.01, progress=progress))
        return len((folder / "history.jsonl").read_text().splitlines())

    undisturbed = epochs_until_collapse(whole)
    assert undisturbed >= 3

    def kill(what, done, total):
        # The last step before the epoch that ends in the error: five steps an epoch.
        if what == "pre-training" and done == 5 * undisturbed:
            raise KilledError

    with pytest.raises(KilledError):
        epochs_until_collapse(parts, progress=kill)
    assert epochs_until_collapse(parts) == undisturbed
