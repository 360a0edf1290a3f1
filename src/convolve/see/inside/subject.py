"""What is looked into: a network and the answers it chooses from, and one image with the answer that is asked about."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from convolve.data.preprocessing import Normalise
from convolve.errors import UserError
from convolve.training.compute import Compute


def as_they_are(maps: Tensor) -> Tensor:
    """The maps themselves, where layers see each image once and upright."""
    return maps


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network that answers a question about an image with one of K classes, whatever its task.

    Of a classifier the question is what the image shows; of a network for masks, what a region of it shows; of a
    detector, what a box of it holds. So every instrument works for every task.

    Attributes:
        network: in test mode; (N, C, H, W) normalised images -> (N, K) logits. Where its head cannot be differentiated
            (a forest, nearest neighbours), the logits have no gradient.
        body: the module inside `network` whose layers a user knows by name.
        normalise: (N, C, H, W) in [0, 1] -> what the network takes.
        classes: K names, in the order of the logits.
        several: whether an image may have several of the classes: probabilities are sigmoids, else a softmax.
        temperature: divisor of the logits.
        channels: C.
        image_hw: height and width of the images it is asked about here, pixels.
        fill: (C,) in [0, 1], what stands for nothing: the network sees it as zero.
        upright: the layers may see mirrored or turned copies of each image: (M N, ...) maps of the copies, square where
            they are turned -> (N, ...) their mean, moved back.
        of_a_place: whether the answer is about one place of the image, a box or a region, and not about all of it.
        telling: the layer whose maps say most, looked at where nobody names one; empty = the last.
        compute: where and how to run.
    """

    network: nn.Module
    body: nn.Module
    normalise: Normalise
    classes: tuple[str, ...]
    several: bool = False
    temperature: float = 1.0
    channels: int
    image_hw: tuple[int, int]
    fill: tuple[float, ...]
    upright: Callable[[Tensor], Tensor] = as_they_are
    of_a_place: bool = False
    telling: str = ""
    compute: Compute = field(default_factory=Compute)

    def logits(self, images: Tensor) -> Tensor:
        """(N, K) logits of images (N, C, H, W) in [0, 1], with their gradient where torch records it."""
        logits: Tensor = self.network(self.normalise(images))
        return logits

    def probabilities(self, logits: Tensor) -> Tensor:
        """(N, K) in [0, 1], calibrated as the model's own."""
        scaled = logits / self.temperature
        return scaled.sigmoid() if self.several else scaled.softmax(dim=1)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One image, and the answer to explain.

    Attributes:
        image: (C, H, W) float32 in [0, 1], as the network sees it before `normalise`.
        name: of the image, for people.
        wanted: the class whose logit is explained, an index.
        truth: the right class, an index, where it is known.
        about: what of the image is asked about, in words, for example "box 2 at 10, 20 to 50, 60"; empty = all of it.
        inside: (H, W) bool, what is asked about; None = all of it.
    """

    image: Tensor
    name: str
    wanted: int
    truth: int | None = None
    about: str = ""
    inside: NDArray[np.bool_] | None = None

    @property
    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8, the image as a person sees it; of more than three bands the first three."""
        bands = self.image[:3] if len(self.image) >= 3 else self.image[:1]
        pixels = (bands.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def answer(subject: Subject, question: Question) -> Tensor:
    """(K,) float32 probabilities of the question's image.

    Raises:
        UserError: they are no numbers: weights or activations have overflowed.
    """
    with torch.inference_mode():
        logits = subject.logits(question.image[None].to(subject.compute.device)).float().cpu()
    if not bool(logits.isfinite().all()):
        raise UserError(
            f"{question.name}: the network's answer is no number (NaN or infinite)",
            "Its weights are damaged, or overflow on this image; train it again with a lower learning rate.",
        )
    return subject.probabilities(logits)[0]
