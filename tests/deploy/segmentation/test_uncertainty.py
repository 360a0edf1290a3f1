import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy as scipy_entropy
from torch import Tensor, nn

from convolve.deploy.segmentation.uncertainty import Members, ask, check_members, entropy, mutual_information
from convolve.errors import UserError
from convolve.networks.pixel_network import PixelNetwork
from convolve.randomness import torch_randomness
from convolve.training.compute import Compute
from deploy.segmentation.small_networks import ColourNetwork, SmallNetwork

COMPUTE = Compute()


def small(dropout: float | None = 0.5, classes: int = 3) -> SmallNetwork:
    with torch_randomness(0, "test"):
        return SmallNetwork(classes, dropout=dropout)


def images(*shape: int) -> Tensor:
    with torch_randomness(1, "test"):
        return torch.randn(*shape)


def opinion(network: PixelNetwork, batch: Tensor, members: Members, *key: int):
    return ask(network, batch, members, temperature=1.0, key=key, compute=COMPUTE)


class Fixed(PixelNetwork):
    """Says in each pass what the list says, for the one pixel there is."""

    def __init__(self, opinions: list[list[float]]) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.opinions = [torch.tensor(opinion).log()[None, :, None, None] for opinion in opinions]

    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        return ()

    def score(self, encoded: tuple[Tensor, ...], image_hw: tuple[int, int]) -> Tensor:
        assert self.dropout.training
        assert not self.training
        return self.opinions.pop(0)


def test_a_worked_example():
    # Two sure members that disagree, (.9, .1) and (.1, .9): mean (.5, .5), H = ln 2 = .6931; each H = .3251;
    # mutual information .3681; deviation .4 in both classes.
    network = Fixed([[0.9, 0.1], [0.1, 0.9]])
    said = opinion(network, torch.zeros(1, 1, 1, 1), Members(passes=2))
    assert said.probabilities.flatten().tolist() == pytest.approx([0.5, 0.5])
    assert said.expected_entropy.item() == pytest.approx(0.325083, abs=1e-5)
    assert said.deviation.item() == pytest.approx(0.4, abs=1e-6)
    information = mutual_information(said.probabilities, said.expected_entropy, dim=1)
    assert information.item() == pytest.approx(0.368064, abs=1e-5)


def test_mean_and_deviation_are_those_of_numpy():
    opinions = np.random.default_rng(0).dirichlet(np.ones(4), size=9)
    said = opinion(Fixed(opinions.tolist()), torch.zeros(1, 1, 1, 1), Members(passes=9))
    np.testing.assert_allclose(said.probabilities[0, :, 0, 0], opinions.mean(0), atol=1e-6)
    np.testing.assert_allclose(said.deviation.item(), opinions.std(0).mean(), atol=1e-6)
    np.testing.assert_allclose(said.expected_entropy.item(), scipy_entropy(opinions, axis=1).mean(), atol=1e-6)


def test_dropout_of_nothing_gives_no_spread():
    said = opinion(small(0.0), images(2, 3, 13, 10), Members(passes=7))
    assert not said.deviation.any()
    assert not mutual_information(said.probabilities, said.expected_entropy, dim=1).any()
    plain = opinion(small(0.0), images(2, 3, 13, 10), Members())
    torch.testing.assert_close(said.probabilities, plain.probabilities)


def test_bounds():
    said = opinion(small(classes=5), images(1, 3, 20, 20) * 5, Members(passes=6, views="flips"))
    predictive = entropy(said.probabilities, dim=1)
    information = mutual_information(said.probabilities, said.expected_entropy, dim=1)
    assert predictive.min() >= 0
    assert predictive.max() <= math.log(5) + 1e-6
    assert (predictive - said.expected_entropy).min() > -1e-6
    assert information.max() > 0.01
    torch.testing.assert_close(said.probabilities.sum(1), torch.ones(1, 20, 20))


def test_equal_keys_draw_equally_and_others_do_not():
    network, batch, members = small(), images(1, 3, 12, 12), Members(passes=3)
    first = opinion(network, batch, members, 5)
    torch.manual_seed(99)
    again, other = opinion(network, batch, members, 5), opinion(network, batch, members, 6)
    assert torch.equal(first.probabilities, again.probabilities)
    assert not torch.equal(first.probabilities, other.probabilities)
    seeded = opinion(network, batch, Members(passes=3, seed=1), 5)
    assert not torch.equal(first.probabilities, seeded.probabilities)


def test_the_means_error_falls_with_the_root_of_the_passes():
    network, batch = small(), images(1, 3, 8, 8)

    def error(passes: int) -> float:
        means = [opinion(network, batch, Members(passes=passes), number).probabilities for number in range(40)]
        return float(torch.stack(means).std(0).mean())

    assert error(4) / error(36) == pytest.approx(3, rel=0.15)


def test_only_the_stochastic_tail_is_computed_again():
    network = small()
    opinion(network, images(1, 3, 12, 12), Members(passes=10, views="mirror"))
    assert network.encoded == 2


def test_batch_norm_stays_as_it_is_and_modes_are_put_back():
    network = small().train()
    before = network.norm.running_mean.clone()
    opinion(network, images(1, 3, 12, 12), Members(passes=2))
    assert torch.equal(network.norm.running_mean, before)
    assert network.training
    assert network.dropout.training


@pytest.mark.parametrize("views", ["mirror", "flips", "turns"])
def test_views_change_nothing_for_a_network_that_is_symmetric(views):
    network, batch = ColourNetwork(), images(2, 3, 9, 14)
    plain, said = opinion(network, batch, Members()), opinion(network, batch, Members(views=views))
    torch.testing.assert_close(said.probabilities, plain.probabilities)
    assert said.deviation.max() < 1e-6


@pytest.mark.parametrize(("views", "count"), [("none", 1), ("mirror", 2), ("flips", 4), ("turns", 8)])
def test_the_mean_over_turns_is_that_of_turned_networks(views, count):
    network, batch = small(None), images(1, 3, 12, 12)
    assert Members(views=views).count == count
    said = opinion(network, batch, Members(views=views)).probabilities
    turned = {"none": batch, "mirror": batch.flip(3), "flips": batch.flip(2), "turns": batch.transpose(2, 3)}[views]
    back = {"none": said, "mirror": said.flip(3), "flips": said.flip(2), "turns": said.transpose(2, 3)}[views]
    torch.testing.assert_close(opinion(network, turned, Members(views=views)).probabilities, back)


def test_temperature_divides_logits():
    network, batch = small(None), images(1, 3, 6, 6)
    said = ask(network, batch, Members(), temperature=2.0, key=(), compute=COMPUTE)
    torch.testing.assert_close(said.probabilities, torch.softmax(network.eval()(batch).detach() / 2, dim=1))


def test_without_dropout_passes_are_refused():
    with pytest.raises(UserError, match="no dropout"):
        check_members(small(None), Members(passes=5))
    with pytest.raises(UserError, match="no dropout"):
        check_members(small(0.0), Members(passes=5))
    check_members(small(None), Members(views="flips"))
    with pytest.raises(UserError, match="-1 passes"):
        check_members(small(), Members(passes=-1))
