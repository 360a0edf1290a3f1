"""What units see: a small network trained now on digits, its filters, its maps, and where it looked."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure as Chart
from sklearn.datasets import load_digits
from torch import Tensor, nn

from convolve.randomness import numpy_generator, torch_randomness
from convolve.see.inside.activations import activations
from convolve.see.inside.filters import first_filters
from convolve.see.inside.grad_cam import grad_cam
from convolve.see.inside.heat import overlay
from convolve.see.inside.occlusion import choose_squares, occlude, occlusion_heat
from convolve.see.inside.subject import Question, Subject, answer
from convolve.see.tour.drawing import WIDTH, themed, tour_style
from convolve.see.tour.topic import TOPICS, Figure, Section, Topic

SIDE = 16
"""Pixels; the digits' 8 x 8 enlarged."""
_FILTERS, _MAPS, _CLASSES = 8, 16, 10
_EPOCHS, _BATCH, _PEAK = 6, 64, 1e-2
_TEST_SHARE = 4
"""Every fourth digit tests."""


def small_network() -> nn.Sequential:
    """8@5x5 - pool - 16@3x3 - 32@3x3 - mean - 10 outputs; torch's global generator draws the weights.

    (N, 1, 16, 16) -> (N, 10). The mean before the outputs makes each map speak as a whole, which Grad-CAM supposes.
    """
    body = nn.Sequential(
        nn.Conv2d(1, _FILTERS, 5, padding=2, bias=False),
        nn.BatchNorm2d(_FILTERS),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(_FILTERS, _MAPS, 3, padding=1, bias=False),
        nn.BatchNorm2d(_MAPS),
        nn.ReLU(),
        nn.Conv2d(_MAPS, 2 * _MAPS, 3, padding=1, bias=False),
        nn.BatchNorm2d(2 * _MAPS),
        nn.ReLU(),
    )
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2 * _MAPS, _CLASSES))


def digits() -> tuple[Tensor, Tensor]:
    """(1797, 1, 16, 16) float32 in [0, 1] and (1797,) int64: scikit-learn's scanned digits, enlarged."""
    found = load_digits()
    images = torch.from_numpy(found.images).float()[:, None] / 16
    larger = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    return larger.clamp(0, 1), torch.from_numpy(found.target).long()


def normalised(images: Tensor) -> Tensor:
    """Black is 0 to the network, which is also what covers a part of a digit."""
    return images / 0.35


def trained(seed: int, images: Tensor, labels: Tensor) -> nn.Sequential:
    """The network after a few epochs of AdamW on one cycle of the learning rate, in test mode."""
    generator = numpy_generator(seed, "tour", "seeing", "order")
    with torch_randomness(seed, "tour", "seeing"):
        network = small_network()
    optimiser = torch.optim.AdamW(network.parameters())
    batches = [
        rows
        for _ in range(_EPOCHS)
        for rows in torch.split(torch.from_numpy(generator.permutation(len(images))), _BATCH)
    ]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _PEAK, total_steps=len(batches))
    for chosen in batches:
        optimiser.zero_grad()
        loss = F.cross_entropy(network(normalised(images[chosen])), labels[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return network.eval()


def _compute(seed: int) -> Section:
    images, labels = digits()
    tests = torch.arange(len(images)) % _TEST_SHARE == 0
    network = trained(seed, images[~tests], labels[~tests])
    with torch.inference_mode():
        right = network(normalised(images[tests])).argmax(dim=1) == labels[tests]
    body = network[0]
    assert isinstance(body, nn.Sequential)  # noqa: S101 - small_network builds it
    subject = Subject(
        network=network,
        body=body,
        normalise=normalised,
        classes=tuple(map(str, range(_CLASSES))),
        channels=1,
        image_hw=(SIDE, SIDE),
        fill=(0.0,),
    )
    # The first tested digit that is right: what explains an error would not show what the network has learned.
    first = int(tests.nonzero()[int(right.nonzero()[0])])
    question = Question(image=images[first], name="a digit", wanted=int(labels[first]), truth=int(labels[first]))
    squares = choose_squares((SIDE, SIDE), side=4, stride=1)
    heats = {
        "grad-cam": grad_cam(subject, question.image[None], torch.tensor([question.wanted]))[0],
        "occlusion": occlusion_heat(subject, occlude(subject, question.image, squares), question.wanted),
    }
    numbers: dict[str, Any] = {
        "test digits": int(tests.sum()),
        "right, percent": round(100 * float(right.float().mean()), 2),
        "digit": question.wanted,
        "its probability": round(float(answer(subject, question)[question.wanted]), 4),
        "largest fall of it when covered": round(float(heats["occlusion"].max()), 4),
    }
    return Section(
        figures=(_filters_figure(subject, numbers), _maps_figure(subject, question), _looks_figure(question, heats)),
        numbers=numbers,
    )


def _filters_figure(subject: Subject, numbers: dict[str, Any]) -> Figure:
    kernels = first_filters(subject).kernels[:, 0].numpy()
    limit = float(np.abs(kernels).max())
    with tour_style("seeing-filters"):
        chart = Chart(figsize=(WIDTH, 0.75), layout="constrained")
        for axes, kernel in zip(chart.subplots(1, _FILTERS), kernels, strict=True):
            axes.imshow(kernel, cmap="gray", vmin=-limit, vmax=limit)
            axes.set_axis_off()
        svg = themed(chart, "eight 5 x 5 filters as grey pictures")
    return Figure(
        svg=svg,
        caption="The first layer's eight filters, trained just now (the network is right on "
        f"{numbers['right, percent']} % of {numbers['test digits']} test digits): white adds, black subtracts, grey is "
        "0. What weighs one side against the other answers to edges of that direction; few steps leave them rough.",
    )


def _maps_figure(subject: Subject, question: Question) -> Figure:
    looks = activations(subject, question.image, most=_FILTERS)
    with tour_style("seeing-maps"):
        chart = Chart(figsize=(WIDTH, 0.5 + 0.62 * len(looks)), layout="constrained")
        grid = chart.subplots(len(looks), _FILTERS + 1, squeeze=False)
        for axes in grid.ravel():
            axes.set_axis_off()
        grid[0, 0].imshow(question.picture)
        for row, look in zip(grid, looks, strict=True):
            for axes, one in zip(row[1:], look.maps, strict=True):
                axes.imshow(one.numpy(), cmap="inferno", vmin=0, vmax=look.largest)
        svg = themed(chart, "a digit and the maps that two layers give of it")
    named = "; ".join(f"{one.layer.map_hw[0]} x {one.layer.map_hw[1]}" for one in looks)
    return Figure(
        svg=svg,
        caption=f"A digit, and the strongest maps of the last layer of each size ({named} units), bright where a unit "
        "answers: first strokes of a direction, then what strokes make up.",
    )


def _looks_figure(question: Question, heats: dict[str, Tensor]) -> Figure:
    with tour_style("seeing-looks"):
        chart = Chart(figsize=(WIDTH, 1.75), layout="constrained")
        pictures = {"digit": question.picture} | {
            name: overlay(question.picture, heat, most=0.8) for name, heat in heats.items()
        }
        for axes, (name, picture) in zip(chart.subplots(1, len(pictures)), pictures.items(), strict=True):
            axes.imshow(picture, interpolation="nearest")
            axes.set_title(name, fontsize=10)
            axes.set_axis_off()
        svg = themed(chart, "a digit, and where the network looked, by two ways of asking")
    return Figure(
        svg=svg,
        caption=f"Why is it a {question.wanted}? Grad-CAM weighs the last maps by the gradient of its logit; occlusion "
        "covers a square of 4 x 4 pixels at every place, and shows by how much the probability falls.",
    )


TOPICS.add(
    "seeing",
    Topic(
        name="seeing",
        order=180,
        title="What units see",
        idea="Nobody tells a network what to look for, yet its first filters come to be edges, and later maps answer "
        "to what edges make up. Gradients and covered squares show which part of an image an answer rests on.",
        code="convolve explain runs/first photo.jpg",
        source="Zeiler and Fergus, ECCV 2014; Selvaraju et al., ICCV 2017",
        compute=_compute,
    ),
)
