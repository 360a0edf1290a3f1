"""How sure a network for masks is of each pixel: from passes with dropout on, and from views of the image.

Each pass and each view is one member's opinion p_t(c). Their mean is the prediction, and three maps say how far to
trust it:

- predictive entropy H[mean p], all uncertainty, in nats, 0 .. ln K;
- mutual information H[mean p] - mean H[p_t], the part that comes from members disagreeing (for passes: the part that
  more training data would take away), 0 .. ln K;
- the standard deviation of p_t(c) over the members, mean over the classes.

Y. Gal and Z. Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016; Y. Gal, "Uncertainty in Deep Learning",
thesis, Cambridge 2016, section 3.3.1; for maps M. Kampffmeyer, A.-B. Salberg and R. Jenssen, CVPR Workshops 2016.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from convolve.errors import UserError, unknown_name
from convolve.networks.pixel_network import PixelNetwork
from convolve.randomness import Key, torch_randomness
from convolve.training.compute import Compute
from convolve.training.inference import in_test_mode

Views: TypeAlias = Literal["none", "mirror", "flips", "turns"]
"""The image as it is; and its mirror image; and upside down as well; and all 8 turns and mirror images."""

_VIEWS: dict[Views, tuple[tuple[int, bool], ...]] = {
    "none": ((0, False),),
    "mirror": ((0, False), (0, True)),
    "flips": ((0, False), (0, True), (2, False), (2, True)),
    "turns": tuple((quarters, mirrored) for mirrored in (False, True) for quarters in range(4)),
}


def checked_views(name: str) -> Views:
    """The views of that name.

    Raises:
        UserError: there are none.
    """
    for views in _VIEWS:
        if views == name:
            return views
    raise unknown_name("kind of views", name, _VIEWS)


_DROPOUT = nn.modules.dropout._DropoutNd


@dataclass(frozen=True, kw_only=True)
class Members:
    """Whose opinions are asked.

    Attributes:
        passes: T, through the layers behind the encoder with dropout on, for every view; 0 = one with dropout off.
        views: of the image, see `Views`.
        seed: of the dropout.
    """

    passes: int = 0
    views: Views = "none"
    seed: int = 0

    @property
    def count(self) -> int:
        """How many there are; spread takes at least 2."""
        return len(_VIEWS[self.views]) * max(1, self.passes)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the members say on average.

    Attributes:
        probabilities: (N, K, H, W), mean over the members.
        expected_entropy: (N, H, W), mean over the members of the entropy of each, nats; None of one member.
        deviation: (N, H, W), standard deviation over the members (of these, not estimated for more), mean over classes;
            None of one member.
    """

    probabilities: Tensor
    expected_entropy: Tensor | None = None
    deviation: Tensor | None = None


def entropy(probabilities: Tensor, *, dim: int) -> Tensor:
    """Shannon entropy along the classes, nats; 0 log 0 = 0.

    >>> entropy(torch.tensor([0.5, 0.5]), dim=0).item()
    0.6931471824645996
    """
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(dim)


def mutual_information(probabilities: Tensor, expected_entropy: Tensor, *, dim: int) -> Tensor:
    """What the member tells of the class: entropy of the mean less mean entropy, nats; rounding below 0 is cut off.

    Args:
        probabilities: mean over the members, the classes along `dim`.
        expected_entropy: the same shape without `dim`.
        dim: axis of the classes.
    """
    return (entropy(probabilities, dim=dim) - expected_entropy).clamp_(min=0)


def check_members(network: PixelNetwork, members: Members) -> None:
    """See that a network has what the members take.

    Raises:
        UserError: passes are asked for, and it has no dropout.
    """
    if members.passes < 0:
        raise UserError(f"{members.passes} passes", "Give 0 for none with dropout on, or from 10 to 50.")
    if members.passes and not any(isinstance(module, _DROPOUT) and module.p > 0 for module in network.modules()):
        raise UserError(
            "Monte-Carlo dropout: this network has no dropout, so all passes would be alike",
            "Use views=flips for its uncertainty, or train one with dropout (segment.options).",
        )


def ask(
    network: PixelNetwork,
    images: Tensor,
    members: Members,
    *,
    temperature: float,
    key: tuple[Key, ...],
    compute: Compute,
    fit: Callable[[Tensor], Tensor] = lambda logits: logits,
) -> Opinion:
    """The members' opinions of images. Each view is encoded once, however many passes there are.

    Args:
        network: has dropout where passes are asked for (see `check_members`).
        images: (N, C, H, W), normalised.
        members: whom to ask.
        temperature: divisor of the logits.
        key: what the images are, for the dropout: equal keys of equal members draw equally.
        compute: where and how.
        fit: what is done to the logits (N, K, h, w) of each member, upright again, before they are probabilities: cut,
            resized.

    Returns:
        On the CPU, float32.
    """
    compute.place(network)
    mean = _RunningMean()
    spread = _RunningMean()
    with in_test_mode(network), torch.inference_mode():
        for logits in _logits(network, images, members, key, compute):
            probabilities = torch.softmax(fit(logits) / temperature, dim=1)
            if members.count == 1:
                return Opinion(probabilities.cpu())
            mean.add(probabilities)
            spread.add(entropy(probabilities, dim=1))
    deviation = mean.deviation().mean(dim=1)
    return Opinion(mean.value.cpu(), spread.value.cpu(), deviation.cpu())


def _logits(
    network: PixelNetwork, images: Tensor, members: Members, key: tuple[Key, ...], compute: Compute
) -> Iterator[Tensor]:
    for view, (quarters, mirrored) in enumerate(_VIEWS[members.views]):
        seen = _turned(images.flip(3) if mirrored else images, quarters)
        hw = (seen.shape[2], seen.shape[3])
        with compute.precision():
            encoded = network.encode(compute.images(seen))
        for number in range(max(1, members.passes)):
            with (
                compute.precision(),
                torch_randomness(members.seed, "monte carlo dropout", *key, view, number),
                _dropout_on(network, on=members.passes > 0),
            ):
                logits = network.score(encoded, hw)
            upright = _turned(logits.float(), -quarters)
            yield upright.flip(3) if mirrored else upright


def _turned(maps: Tensor, quarters: int) -> Tensor:
    """Maps turned by quarters against the clock; not copied where they stay as they are."""
    return torch.rot90(maps, quarters, (2, 3)) if quarters else maps


@contextmanager
def _dropout_on(network: PixelNetwork, *, on: bool) -> Iterator[None]:
    """Within it dropout is drawn, in a network whose other layers (batch norm above all) stay in test mode."""
    layers = [module for module in network.modules() if isinstance(module, _DROPOUT)] if on else []
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer in layers:
            layer.eval()


class _RunningMean:
    """Mean and deviation of maps that come one at a time, exact where all are equal.

    B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products", Technometrics 4 (1962).
    """

    def __init__(self) -> None:
        self.value = torch.zeros(1)
        self._squares = torch.zeros(1)
        self._count = 0

    def add(self, maps: Tensor) -> None:
        self._count += 1
        if self._count == 1:
            self.value, self._squares = maps.clone(), torch.zeros_like(maps)
            return
        before = maps - self.value
        self.value += before / self._count
        self._squares += before * (maps - self.value)

    def deviation(self) -> Tensor:
        return (self._squares / self._count).sqrt()
