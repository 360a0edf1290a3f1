import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convolve.networks.auxiliaries import Auxiliaries
from convolve.networks.network import Network
from convolve.training.auxiliary_losses import training_form
from convolve.training.fit import FitSettings
from training.small_trainings import TASK, images_and_targets, loader, make_fit

WEIGHT = 0.3


def network(*, auxiliary=True, key=0):
    """8 x 8 grey images, three classes; classifiers after the first and the second convolution."""
    with torch.random.fork_rng():
        torch.manual_seed(key)
        backbone = nn.Sequential()
        backbone.add_module("first", nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)))
        backbone.add_module("second", nn.Sequential(nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)))
        backbone.add_module("flatten", nn.Flatten())
        head = nn.Linear(20, 3)
        heads = {
            "first": nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
            "second": nn.Sequential(nn.Flatten(), nn.Linear(20, 3)),
        }
    auxiliaries = Auxiliaries(heads, weight=WEIGHT) if auxiliary else None
    return Network(backbone, head, features=20, auxiliaries=auxiliaries)


def batch():
    images, targets = images_and_targets()
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255, targets


def by_hand(one, images, targets):
    """The sum of the three losses, from the layers themselves."""
    first = one.backbone.first(images)
    second = one.backbone.second(first)
    outputs = one.head(second.flatten(1))
    auxiliary = [one.auxiliaries.heads["first"](first), one.auxiliaries.heads["second"](second)]
    return F.cross_entropy(outputs, targets) + sum(WEIGHT * F.cross_entropy(other, targets) for other in auxiliary)


def test_the_loss_and_its_gradient_are_the_networks_and_a_share_of_each_classifiers():
    one, (images, targets) = network(), batch()
    module, losses = training_form(one, TASK)
    assert module(images).shape == (len(images), 3, 3)
    found, expected = losses(module(images), targets).mean(), by_hand(one, images, targets)
    torch.testing.assert_close(found, expected)
    parameters = list(one.parameters())
    gradients = torch.autograd.grad(found, parameters)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, parameters))
    assert all(gradient.any() for gradient in gradients)


def test_the_networks_own_answer_comes_first_and_does_not_know_of_them():
    one, (images, targets) = network(), batch()
    module, _ = training_form(one, TASK)
    torch.testing.assert_close(module(images)[:, 0], one(images))
    F.cross_entropy(one.eval()(images), targets).backward()
    assert all(weight.grad is None for weight in one.auxiliaries.parameters())


@pytest.mark.parametrize("plain", [network(auxiliary=False), nn.Linear(2, 3)])
def test_without_them_a_network_is_trained_as_it_is(plain):
    module, losses = training_form(plain, TASK)
    assert module is plain
    assert losses == TASK.losses


def test_a_training_steps_on_the_sum_judges_without_them_and_leaves_them_out(tmp_path):
    one, expected = network(), network()
    settings = FitSettings(epochs=1, lr=0.1, keep="last")
    fit = make_fit(tmp_path, one, settings=settings, weight_decay=0.0, momentum=0.0, nesterov=False)
    result = fit.run()
    optimiser = torch.optim.SGD(expected.parameters(), lr=0.1)
    for part in loader(range(32)).epoch(0, 0):
        optimiser.zero_grad()
        by_hand(expected, 2 * part.images - 1, part.targets).backward()
        optimiser.step()
    assert one.auxiliaries is None
    wanted = {name: value for name, value in expected.state_dict().items() if not name.startswith("auxiliaries")}
    assert one.state_dict().keys() == wanted.keys()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-5, atol=1e-6)
    images, targets = batch()
    with torch.no_grad():
        loss = F.cross_entropy(one(2 * images[32:] - 1), targets[32:]).item()
    assert result.best["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("more", [{}, {"average": 0.9, "accumulate": 2}], ids=["plain", "averaged, two batches a step"])
def test_a_stopped_training_goes_on_with_them(tmp_path, more):
    settings = FitSettings(epochs=3, lr=0.05, keep="last", checkpoint_seconds=0, **more)
    whole = network()
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    make_fit(tmp_path / "whole", whole, settings=settings).run()

    def stop(what, done, total):
        if what == "training" and done == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_fit(tmp_path / "parts", network(), settings=settings, progress=stop).run()
    resumed = network(key=1)
    make_fit(tmp_path / "parts", resumed, settings=settings).run()
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


@pytest.mark.parametrize(("saved", "loading"), [(True, True), (True, False), (False, True), (False, False)])
def test_weights_are_loaded_with_and_without_them(saved, loading):
    source, target, (images, _) = network(auxiliary=saved, key=1), network(auxiliary=loading), batch()
    target.load_state_dict(source.state_dict())
    assert torch.equal(target(images), source(images))
    assert (target.auxiliaries is None) == (not loading)


def test_other_missing_weights_are_still_missed():
    tensors = network().state_dict()
    del tensors["head.bias"]
    with pytest.raises(RuntimeError, match=r"head\.bias"):
        network().load_state_dict(tensors)
