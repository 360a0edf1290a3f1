import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from convolve.errors import UserError
from convolve.training.fit import FitSettings
from training.small_trainings import GREY, TASK, convolutional, loader, make_fit


def plain(norm=False):
    return convolutional(norm=norm, dropout=0.0)


def copied(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def by_hand(network, train, epochs, *, lr, momentum=0.0, clip=0.0, decay=0.0, accumulate=1):
    """The textbook loop: its weights after every step, and every step's loss."""
    velocity = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    network.train()
    trace = []
    for epoch in range(epochs):
        for first in range(0, train.steps, accumulate):
            batches = [train.batch(epoch, step) for step in range(first, min(first + accumulate, train.steps))]
            images, targets = torch.cat([b.images for b in batches]), torch.cat([b.targets for b in batches])
            loss = nn.functional.cross_entropy(network(GREY.normalise(images)), targets)
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
            shrink = min(1.0, clip / norm) if clip else 1.0
            with torch.no_grad():
                for (name, p), g in zip(network.named_parameters(), gradients, strict=True):
                    velocity[name] = momentum * velocity[name] + shrink * g + (decay * p if p.ndim > 1 else 0)
                    p -= lr * velocity[name]
            trace.append(copied(network))
    return trace


def assert_close(found, expected, tolerance=1e-5):
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("clip", [0.0, 0.2])
def test_a_training_is_the_textbooks(tmp_path, clip):
    network, expected = plain(), plain()
    # A patience that never ends and a rising score: the last weights are compared, not the best.
    settings = FitSettings(epochs=2, lr=0.1, clip_norm=clip)
    fit = make_fit(tmp_path, network, settings=settings, weight_decay=0.01, momentum=0.9, nesterov=False)
    steps = record_steps(network, fit)
    fit.run()
    trace = by_hand(expected, loader(range(32)), 2, lr=0.1, momentum=0.9, clip=clip, decay=0.01)
    assert len(steps) == len(trace) == 8
    for one, other in zip(steps, trace, strict=True):
        assert_close(one, other)


def record_steps(network, fit):
    """Weights after every step, as a listener to the progress sees them."""
    steps = []
    fit._progress = lambda what, done, total: steps.append(copied(network)) if what == "training" else None
    return steps


def test_accumulated_batches_are_one_large_batch(tmp_path):
    network = plain()
    fit = make_fit(
        tmp_path, network, settings=FitSettings(epochs=2, lr=0.1, accumulate=3), momentum=0.0, weight_decay=0.0
    )
    steps = record_steps(network, fit)
    fit.run()
    # 4 batches an epoch: a step of three, and one of the last alone.
    trace = by_hand(plain(), loader(range(32)), 2, lr=0.1, accumulate=3)
    assert len(steps) == len(trace) == 4
    for one, other in zip(steps, trace, strict=True):
        assert_close(one, other)


def test_batches_of_different_sizes_count_by_their_images(tmp_path):
    network, train = plain(), loader(range(31))
    fit = make_fit(
        tmp_path,
        network,
        train=train,
        settings=FitSettings(epochs=1, lr=0.1, accumulate=4),
        momentum=0.0,
        weight_decay=0.0,
    )
    steps = record_steps(network, fit)
    fit.run()
    assert_close(steps[-1], by_hand(plain(), train, 1, lr=0.1, accumulate=4)[-1])


def test_averaged_weights_are_the_loops(tmp_path):
    network, rate = plain(), 0.8
    fit = make_fit(tmp_path, network, settings=FitSettings(epochs=2, lr=0.1, average=rate), weight_decay=0.0)
    steps = record_steps(network, fit)
    fit.run()
    average = steps[0]
    for step in steps[1:]:
        average = {name: rate * average[name] + (1 - rate) * step[name] for name in step}
    assert_close(dict(fit._evaluated.state_dict()), average)


def test_the_epochs_losses_are_means_over_images(tmp_path):
    train = loader(range(31))
    make_fit(tmp_path, plain(), train=train, settings=FitSettings(epochs=1, lr=1e-12)).run()
    entry = json.loads((tmp_path / "history.jsonl").read_text())
    with torch.no_grad():
        losses = [
            nn.functional.cross_entropy(plain()(GREY.normalise(b.images)), b.targets, reduction="none")
            for b in train.epoch(0)
        ]
    assert entry["train_loss"] == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)


class Scripted:
    """The task with scores that are given; the losses are the real ones."""

    name, classes, score_name, outputs = "scripted", TASK.classes, "accuracy", 3
    losses, condense = staticmethod(TASK.losses), staticmethod(TASK.condense)

    def __init__(self, scores):
        self.scores = list(scores)

    def evaluate(self, outputs, targets):
        return {"loss": 1.0, "accuracy": self.scores.pop(0)}


def test_the_best_weights_are_put_back(tmp_path):
    network = plain(norm=True)
    fit = make_fit(tmp_path, network, settings=FitSettings(epochs=5, lr=0.1), task=Scripted([0, 1, 3, 2, 2, 2]))
    steps = record_steps(network, fit)
    result = fit.run()
    assert (result.best_epoch, result.best["accuracy"], result.epochs) == (2, 3, 5)
    best = steps[2 * 4 - 1]
    assert all(torch.equal(tensor, best[name]) for name, tensor in network.state_dict().items())
    assert not torch.equal(network.state_dict()["0.weight"], steps[-1]["0.weight"])


def test_training_that_only_harms_leaves_the_weights_from_before(tmp_path):
    network = plain()
    before = copied(network)
    result = make_fit(tmp_path, network, settings=FitSettings(epochs=2, lr=0.1), task=Scripted([5, 1, 1])).run()
    assert result.best_epoch == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_it_stops_early_after_as_many_epochs_as_asked(tmp_path):
    scores = [0, 1, 2, 2, 1, 3, 0, 0, 0, 9]
    result = make_fit(
        tmp_path, plain(), settings=FitSettings(epochs=9, lr=0.01, patience=3), task=Scripted(scores)
    ).run()
    # Equal is not better: epochs 3 and 4 wait, 5 is best, 6 to 8 wait in vain.
    assert (result.epochs, result.best_epoch) == (8, 5)


class Sees(nn.Module):
    """Notes the mode it is called in."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.calls = []

    def forward(self, images):
        modes = {module.training for module in self.modules()}
        self.calls.append((torch.is_grad_enabled(), tuple(sorted(modes))))
        return self.inner(images)


def test_training_and_evaluation_are_in_their_modes(tmp_path):
    network = Sees(convolutional())
    make_fit(tmp_path, network, settings=FitSettings(epochs=2, lr=0.01)).run()
    # Before training: 16 images in 2 batches; then twice 4 steps and 2 batches.
    evaluation, training = [(False, (False,))] * 2, [(True, (True,))] * 4
    assert network.calls == evaluation + (training + evaluation) * 2


def test_frozen_norms_keep_their_statistics(tmp_path):
    network = convolutional()
    before = copied(network)
    make_fit(tmp_path, network, settings=FitSettings(epochs=2, lr=0.05, freeze_norms=True)).run()
    after = network.state_dict()
    assert torch.equal(after["1.running_mean"], before["1.running_mean"])
    assert not torch.equal(after["1.weight"], before["1.weight"])


def test_dropout_depends_on_seed_and_step_alone(tmp_path):
    def trained(name, seed, disturb):
        folder = tmp_path / name
        folder.mkdir()
        network = convolutional(dropout=0.5)
        listener = (lambda *_: torch.rand(3)) if disturb else (lambda *_: None)
        settings = FitSettings(epochs=2, lr=0.05, seed=seed)
        fit = make_fit(folder, network, settings=settings, progress=listener)
        fit.run()
        return network.state_dict()["6.weight"]

    assert torch.equal(trained("a", 0, False), trained("b", 0, True))
    assert not torch.equal(trained("c", 1, False), trained("a2", 0, False))


def test_training_leaves_the_callers_random_state(tmp_path):
    state = torch.get_rng_state()
    make_fit(tmp_path, convolutional(), settings=FitSettings(epochs=1, lr=0.05)).run()
    assert torch.equal(torch.get_rng_state(), state)


def test_mixed_images_have_mixed_losses(tmp_path):
    train = loader(range(32), augment={"mixup": 0.5})
    make_fit(tmp_path, plain(), train=train, settings=FitSettings(epochs=1, lr=1e-12)).run()
    total = 0.0
    with torch.no_grad():
        for batch in train.epoch(0):
            outputs = plain()(GREY.normalise(batch.images))
            for row, weight in enumerate(batch.blend.weight):
                own, other = batch.targets[row], batch.targets[batch.blend.partner[row]]
                log_p = outputs[row].log_softmax(0)
                total -= float(weight * log_p[own] + (1 - weight) * log_p[other])
    assert json.loads((tmp_path / "history.jsonl").read_text())["train_loss"] == pytest.approx(total / 32, rel=1e-5)


class Breaks(nn.Module):
    """Multiplies outputs by NaN from the `step`-th training call on, or makes infinite only their gradient."""

    def __init__(self, inner, step, gradient_only=False):
        super().__init__()
        self.inner, self.step, self.gradient_only, self.calls = inner, step, gradient_only, 0

    def forward(self, images):
        outputs = self.inner(images)
        if not torch.is_grad_enabled():
            return outputs
        self.calls += 1
        if self.calls != self.step:
            return outputs
        if self.gradient_only:
            return outputs + torch.sqrt(outputs - outputs.detach())  # 0 with an infinite slope
        return outputs * math.nan


def test_a_loss_that_is_no_number_stops_and_keeps_the_checkpoint(tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    settings = FitSettings(epochs=3, lr=0.05)
    good = tmp_path / "good"
    good.mkdir()
    make_fit(good, Breaks(plain(), 0), settings=FitSettings(epochs=1, lr=0.05)).run()
    with pytest.raises(UserError, match=r"no finite number any more at step 6 \(epoch 2\); .* epoch 1 is kept") as told:
        make_fit(folder, Breaks(plain(), 6), settings=settings).run()
    assert "optimiser.lr=0.005" in told.value.remedy
    assert tensors_of(folder / "checkpoint.safetensors") == tensors_of(good / "checkpoint.safetensors")
    # The network that has mended itself goes on from there.
    assert make_fit(folder, Breaks(plain(), 0), settings=settings).run().epochs == 3


def tensors_of(path):
    from safetensors.torch import load_file

    return {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}


@pytest.mark.parametrize("step", [4, 6])
@pytest.mark.parametrize("checkpoint_seconds", [0.0, 1e9])
def test_weights_that_are_no_numbers_never_become_a_checkpoint(tmp_path, step, checkpoint_seconds):
    settings = FitSettings(epochs=2, lr=0.05, checkpoint_seconds=checkpoint_seconds)
    with pytest.raises(UserError, match="no finite number any more"):
        make_fit(tmp_path, Breaks(plain(), step, gradient_only=True), settings=settings).run()
    checkpoint = tmp_path / "checkpoint.safetensors"
    if checkpoint.exists():
        assert all(np.isfinite(np.frombuffer(raw, np.float32)).all() for raw in tensors_of(checkpoint).values())
    else:
        assert (step, checkpoint_seconds) == (4, 1e9)


class Small(nn.Module):
    """A machine on which no more than `room` images fit at a time."""

    def __init__(self, inner, room, kind=torch.OutOfMemoryError):
        super().__init__()
        self.inner, self.room, self.kind, self.sizes = inner, room, kind, []

    def forward(self, images):
        self.sizes.append(len(images))
        if len(images) > self.room:
            raise self.kind("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return self.inner(images)


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, RuntimeError])
def test_out_of_memory_halves_once_and_computes_the_same(tmp_path, kind):
    network, told = Small(plain(), 5, kind), []
    fit = make_fit(
        tmp_path, network, settings=FitSettings(epochs=2, lr=0.1), momentum=0.9, nesterov=False, weight_decay=0.0
    )
    fit._progress = lambda what, done, total: told.append(what) if "memory" in what else None
    result = fit.run()
    assert told == ["out of memory: going on with 4 images at a time"]
    assert result.micro_batch == 4
    train = by_hand(plain(), loader(range(32)), 2, lr=0.1, momentum=0.9)
    assert_close(
        {f"inner.{name}": tensor for name, tensor in train[result.best_epoch * 4 - 1].items()}, copied(network)
    )


def test_parts_of_a_batch_are_even(tmp_path):
    # 7 images where 4 fit: 4 and 3, not 4, then 3 of which batch norm might be left with 1.
    network = Small(convolutional(), 4)
    make_fit(tmp_path, network, train=loader(range(9), batch_size=9), settings=FitSettings(epochs=2, lr=0.1)).run()
    assert network.sizes.count(1) == 0
    assert sum(network.sizes[-2 - 3 * 2 :]) >= 9


def test_out_of_memory_with_one_image_says_so(tmp_path):
    with pytest.raises(UserError, match="out of memory with a single image"):
        make_fit(tmp_path, Small(plain(), 0), settings=FitSettings(epochs=1, lr=0.1)).run()


def test_other_errors_of_torch_are_not_taken_for_memory(tmp_path):
    class Broken(nn.Module):
        def forward(self, images):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        make_fit(tmp_path, nn.Sequential(plain(), Broken()), settings=FitSettings(epochs=1, lr=0.1)).run()
