"""A small network with maps, and images in which one object decides: for the tests of every instrument."""

import torch
from torch import Tensor, nn

from convolve.randomness import torch_randomness
from convolve.see.inside.subject import Question, Subject


def small_body(*, channels: int = 3) -> nn.Sequential:
    """Two convolutions with batch norm, in-place ReLU and max-pooling, then the mean: (N, C, 24, 24) -> (N, 8)."""
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def small_subject(*, channels: int = 3, classes: int = 3, seed: int = 0) -> Subject:
    """A random network on images of 24 x 24 pixels."""
    with torch_randomness("small subject", seed):
        body = small_body(channels=channels)
        network = nn.Sequential(body, nn.Linear(8, classes)).eval()
    return Subject(
        network=network,
        body=body,
        normalise=lambda images: (images - 0.5) / 0.25,
        classes=tuple(f"class {number}" for number in range(classes)),
        channels=channels,
        image_hw=(24, 24),
        fill=(0.5,) * channels,
    )


def small_question(*, channels: int = 3, wanted: int = 1, seed: int = 0) -> Question:
    """A random image."""
    with torch_randomness("small question", seed):
        return Question(image=torch.rand(channels, 24, 24), name="random.png", wanted=wanted)


class Brightness(nn.Module):
    """Two classes: how bright the red is somewhere in the image at most, and how bright the green is."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.AvgPool2d(4)

    def forward(self, images: Tensor) -> Tensor:
        return 8 * self.maps(images)[:, :2].amax(dim=(2, 3))


def red_and_green_question() -> tuple[Subject, Question]:
    """A red square at rows and columns 4..11 and a green one at 28..35 of a grey 40 x 40 image; red is asked about."""
    image = torch.full((3, 40, 40), 0.3)
    image[0, 4:12, 4:12] = 1.0
    image[1, 28:36, 28:36] = 0.95
    network = Brightness().eval()
    subject = Subject(
        network=network,
        body=network,
        normalise=lambda images: images,
        classes=("red", "green"),
        channels=3,
        image_hw=(40, 40),
        fill=(0.3, 0.3, 0.3),
    )
    return subject, Question(image=image, name="two squares", wanted=0)
