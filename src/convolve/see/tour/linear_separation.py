"""What a line can separate, and small networks that separate what it cannot."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from convolve.randomness import numpy_generator, seed_of, torch_randomness
from convolve.see.tour.descent import descend

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=np.float64)
TRUTH_TABLES: Mapping[str, NDArray[np.int64]] = {
    "AND": np.array([0, 0, 0, 1]),
    "OR": np.array([0, 1, 1, 1]),
    "XOR": np.array([0, 1, 1, 0]),
}
"""Name to the value at each of `CORNERS`."""


def logistic_score(name: str) -> float:
    """The share of the four corners that scikit-learn's logistic regression, hardly penalised, gets right."""
    truth = TRUTH_TABLES[name]
    return float(LogisticRegression(C=1e6).fit(CORNERS, truth).score(CORNERS, truth))


def best_line_score(name: str, lines: int, seed: int) -> float:
    """The largest share of the four corners that any of so many random lines, either way round, gets right."""
    generator = numpy_generator(seed, "tour", "separating", name)
    directions = generator.normal(size=(lines, 2))
    through = generator.uniform(-0.5, 1.5, size=(lines, 2))
    offsets = np.sum(directions * through, axis=1)
    sides = CORNERS @ directions.T - offsets > 0
    return float((sides == TRUTH_TABLES[name][:, None]).mean(axis=0).max())


class XorNetwork(nn.Module):
    """XOR by two ReLU units: h1 = relu(x1 + x2), h2 = relu(x1 + x2 - 1), y = h1 - 2 h2.

    Goodfellow, Bengio and Courville, "Deep learning", MIT Press 2016, section 6.1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(2, 2, dtype=torch.float64), nn.Linear(2, 1, dtype=torch.float64)
        with torch.no_grad():
            self.hidden.weight.fill_(1.0)
            self.hidden.bias.copy_(torch.tensor([0.0, -1.0]))
            self.output.weight.copy_(torch.tensor([[1.0, -2.0]]))
            self.output.bias.zero_()

    def bend(self, points: Tensor) -> Tensor:
        """The hidden layer: (N, 2) to (N, 2)."""
        return torch.relu(self.hidden(points))

    def forward(self, points: Tensor) -> Tensor:
        """(N, 2) to (N,)."""
        result: Tensor = self.output(self.bend(points))[:, 0]
        return result


class BentPlane(nn.Module):
    """Hidden layers of 4 and 2 tanh units and one output: the last hidden layer is a plane that can be drawn."""

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2), nn.Tanh()]
        self.hidden = nn.Sequential(*layers).double()
        self.output = nn.Linear(2, 1, dtype=torch.float64)

    def bend(self, points: Tensor) -> Tensor:
        """The hidden layers: (N, 2) to (N, 2), each in (-1, 1)."""
        result: Tensor = self.hidden(points)
        return result

    def forward(self, points: Tensor) -> Tensor:
        """Logits: (N, 2) to (N,)."""
        result: Tensor = self.output(self.bend(points))[:, 0]
        return result


def moons(seed: int, *, noise: float) -> tuple[Tensor, Tensor]:
    """scikit-learn's two half-moons: points (200, 2) and classes (200,) of 0 and 1, both float64."""
    points, classes = make_moons(200, noise=noise, random_state=seed_of(seed, "tour", "moons") % 2**32)
    return torch.tensor(points), torch.tensor(classes, dtype=torch.float64)


def trained_line(points: Tensor, classes: Tensor) -> nn.Module:
    """One neuron, logits (N,), with the weights of scikit-learn's logistic regression."""
    found = LogisticRegression(C=1e3).fit(points.numpy(), classes.numpy())
    neuron = nn.Linear(2, 1, dtype=torch.float64)
    with torch.no_grad():
        neuron.weight.copy_(torch.tensor(found.coef_))
        neuron.bias.copy_(torch.tensor(found.intercept_))
    return nn.Sequential(neuron, nn.Flatten(0))


def trained_hidden_layers(points: Tensor, classes: Tensor, seed: int) -> nn.Module:
    """Two hidden layers of 16 ReLU units, logits (N,), trained for 300 steps."""
    with torch_randomness(seed, "tour", "separating", "hidden layers"):
        layers = [nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1), nn.Flatten(0)]
        network = nn.Sequential(*layers).double()
    loss = nn.BCEWithLogitsLoss()
    descend(network, lambda: loss(network(points), classes), steps=300, rate=0.02)
    return network


def trained_bent_plane(points: Tensor, classes: Tensor, seed: int) -> BentPlane:
    """Hidden layers of 4 and 2 units, trained for 250 steps."""
    with torch_randomness(seed, "tour", "separating", "bent plane"):
        network = BentPlane()
    loss = nn.BCEWithLogitsLoss()
    descend(network, lambda: loss(network(points), classes), steps=250, rate=0.03)
    return network


def share_right(logits: Tensor, classes: Tensor) -> float:
    """Of logits (N,) and classes (N,)."""
    return float(((logits > 0) == (classes > 0.5)).double().mean())
