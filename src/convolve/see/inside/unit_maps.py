"""What layers make of images themselves, and which pixels a unit of a layer sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from convolve.errors import UserError
from convolve.networks.network import Network
from convolve.networks.receptive_field import Field, FieldTracker
from convolve.see.inside.layers import MapLayer, captured, map_layers, no_maps
from convolve.see.inside.subject import Subject


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels; `bottom` and `right` are the first row and column below and right of it."""

    top: int
    left: int
    bottom: int
    right: int


def maps_of(subject: Subject, images: Tensor, names: Sequence[str]) -> Mapping[str, Tensor]:
    """The maps (N, C', h, w) of layers, of the images themselves and not of mirrored copies, without gradients.

    Args:
        subject: its network in test mode.
        images: (N, C, H, W) in [0, 1].
        names: of layers within the subject's body.
    """
    with torch.inference_mode(), subject.compute.precision(), captured(subject.body, names) as kept:
        run_body(subject, subject.compute.images(images))
    # Where the network looks at copies as well, the images as they are come first.
    return {name: kept[name][: len(images)].float() for name in names}


def stage_ends(subject: Subject) -> tuple[MapLayer, ...]:
    """The last layer at each resolution, from fine to coarse as they are computed.

    Raises:
        UserError: the network has no maps.
    """
    last_at: dict[tuple[int, int], MapLayer] = {}
    for layer in map_layers(subject):
        last_at.pop(layer.map_hw, None)
        last_at[layer.map_hw] = layer
    if not last_at:
        raise no_maps()
    return tuple(last_at.values())


def check_finite(subject: Subject, images: Tensor) -> None:
    """Raise UserError if a layer with maps gives a number that is none; the message has the first such layer."""
    names = [layer.name for layer in map_layers(subject)]
    for name, maps in maps_of(subject, images, names).items():
        if not bool(maps.isfinite().all()):
            raise not_finite(name)


def not_finite(name: str) -> UserError:
    """What to say of a layer that gives NaN or infinity."""
    return UserError(
        f"layer '{name}' gives numbers that are none (NaN or infinite)",
        "Its weights are damaged, or overflow on this image; train it again with a lower learning rate.",
    )


def field_of(subject: Subject, name: str) -> Field | None:
    """What unit (0, 0) of a layer's maps sees of the image; None where nothing bounds it, or the body sees another one.

    Nothing is computed: the body is followed on torch's meta device.

    Args:
        subject: of images of its own size.
        name: of a layer with maps.
    """
    entered = _entering(subject)
    if entered is None:
        return None
    image = torch.empty_like(entered, device="meta")
    layer = subject.body.get_submodule(name)
    found: list[Field | None] = []
    tracker = FieldTracker(image)

    def note(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        # A window of one pixel changes no field, and the tracker tells the field behind every window.
        F.avg_pool2d(output, 1)
        found.append(tracker.last_field)

    shapes_only = {
        key: tensor.to("meta") for key, tensor in (*subject.body.named_parameters(), *subject.body.named_buffers())
    }
    hook = layer.register_forward_hook(note)
    try:
        with torch.no_grad(), tracker:
            torch.func.functional_call(subject.body, shapes_only, (image,))
    finally:
        hook.remove()
    return found[-1]


def window_of(field: Field | None, place: tuple[int, int], image_hw: tuple[int, int]) -> Window:
    """The pixels that a unit sees.

    Args:
        field: of unit (0, 0); None = all.
        place: row and column of the unit in its map.
        image_hw: what lies outside of the image is cut off.
    """
    if field is None:
        return Window(0, 0, *image_hw)
    low, high = ([end[axis] + place[axis] * field.jump[axis] for axis in (0, 1)] for end in (field.low, field.high))
    top, left = (max(0, start) for start in low)
    bottom, right = (min(side, end + 1) for side, end in zip(image_hw, high, strict=True))
    return Window(top, left, bottom, right)


def run_body(subject: Subject, images: Tensor) -> None:
    """Run everything up to the head and perhaps beyond, on images (N, C, H, W) in [0, 1] on the subject's device."""
    if isinstance(subject.network, Network):
        # Once for each image, where the whole network might go over many copies of it.
        subject.body(subject.normalise(images))
    else:
        subject.logits(images)


def multiply_adds(subject: Subject) -> int:
    """What one image costs in convolutions and matrix products, by running one."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        run_body(subject, empty_image(subject))
    return int(counter.get_total_flops()) // 2


def empty_image(subject: Subject) -> Tensor:
    """(1, C, H, W) in [0, 1] on the subject's device, nothing but what stands for nothing."""
    image = torch.tensor(subject.fill)[:, None, None].expand(subject.channels, *subject.image_hw)
    return subject.compute.images(image[None])


def _entering(subject: Subject) -> Tensor | None:
    """What enters the body, if that is an image of the subject's size and nothing else."""
    seen: list[Tensor] = []

    def note(_module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        if len(inputs) == 1 and not named and isinstance(inputs[0], Tensor):
            seen.append(inputs[0])

    hook = subject.body.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with torch.no_grad():
            run_body(subject, empty_image(subject))
    finally:
        hook.remove()
    fits = len(seen) == 1 and seen[0].ndim == 4 and tuple(seen[0].shape[2:]) == subject.image_hw
    return seen[0][:1] if fits else None
