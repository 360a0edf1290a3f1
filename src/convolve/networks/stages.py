"""The stages of a backbone: runs of layers at one resolution, which one after the other are the backbone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from convolve.errors import UserError
from convolve.randomness import torch_randomness

_RTOL, _ATOL = 1e-5, 1e-6


@dataclass(frozen=True)
class Stage:
    """Neighbouring layers whose maps have one resolution; the features after the last map belong to the coarsest.

    Attributes:
        names: of its layers within the backbone, in the order of computation.
        layers: modules of the backbone itself, and what its own forward does between them (flattening).
        map_hw: height and width of its maps; None where there are none.
    """

    names: tuple[str, ...]
    layers: tuple[nn.Module, ...]
    map_hw: tuple[int, int] | None

    def __str__(self) -> str:
        reach = self.names[0] if len(self.names) == 1 else f"{self.names[0]} to {self.names[-1]}"
        return f"{reach} ({self.map_hw[0]} x {self.map_hw[1]})" if self.map_hw else reach


@dataclass(frozen=True)
class _Layer:
    name: str
    module: nn.Module
    map_hw: tuple[int, int] | None
    glue: tuple[nn.Module, ...] = ()

    @property
    def has_weights(self) -> bool:
        return any(True for _ in self.module.parameters())


def find_stages(backbone: nn.Module, *, channels: int, image_hw: tuple[int, int]) -> tuple[Stage, ...]:
    """The stages of a backbone that is a chain of layers, from the image to the features.

    A stage begins where the resolution falls; layers without weights (a pooling layer alone) join what follows them.

    Args:
        backbone: run in test mode on random images; nested nn.Sequentials are taken apart.
        channels: of its images.
        image_hw: of its images, pixels.

    Raises:
        UserError: the backbone is no chain: something goes around a layer, or enters it from two sides.
    """
    was_training = {module: module.training for module in backbone.modules()}
    backbone.eval()
    try:
        with torch.inference_mode(), torch_randomness("stages"):
            device = next(backbone.parameters()).device
            images = torch.randn(2, channels, *image_hw).to(device)
            chain = _trace(backbone, images)
            whole = nn.Sequential(*(part for layer in chain for part in (*layer.glue, layer.module)))
            found, expected = whole(images), backbone(images)
            if found.shape != expected.shape or not torch.allclose(found, expected, rtol=_RTOL, atol=_ATOL):
                raise _no_chain(backbone, "its layers one after the other give other features")
    finally:
        for module, training in was_training.items():
            module.training = training
    return tuple(_stage(run) for run in _runs(chain))


def join(stages: Sequence[Stage]) -> nn.Sequential:
    """Stages as one module over the same layers: training it trains the backbone."""
    return nn.Sequential(*(layer for stage in stages for layer in stage.layers))


def _named_layers(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        # Subclasses that compute otherwise are layers of their own.
        if type(child).forward is nn.Sequential.forward:
            yield from _named_layers(child, f"{prefix}{name}.")
        else:
            yield prefix + name, child


def _trace(backbone: nn.Module, images: Tensor) -> list[_Layer]:
    """The layers in the order in which they are called, each with what happens to the maps before it."""
    chain: list[_Layer] = []
    maps = images

    def enter(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if any(layer.module is module for layer in chain):
            raise _no_chain(backbone, f"'{name}' is used twice")
        glue = _between(maps, inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], Tensor) else None
        if glue is None:
            before = f"'{chain[-1].name}'" if chain else "the image"
            raise _no_chain(backbone, f"what enters '{name}' is not what leaves {before}")
        chain.append(_Layer(name, module, None, tuple(glue)))

    def leave(output: object) -> None:
        nonlocal maps
        if not isinstance(output, Tensor):
            raise _no_chain(backbone, f"'{chain[-1].name}' gives more than one tensor")
        maps = output
        # Maps of one position are features, not a resolution.
        if output.ndim == 4 and prod(output.shape[2:]) > 1:
            chain[-1] = replace(chain[-1], map_hw=(output.shape[2], output.shape[3]))

    hooks = []
    for name, module in _named_layers(backbone):
        hooks.append(module.register_forward_pre_hook(_entering(enter, name)))
        hooks.append(module.register_forward_hook(lambda _module, _inputs, output: leave(output)))
    try:
        features = backbone(images)
    finally:
        for hook in hooks:
            hook.remove()
    glue = _between(maps, features)
    if not chain or glue is None:
        raise _no_chain(backbone, "its features are not what leaves its last layer")
    return chain + [_Layer(chain[-1].name, part, None) for part in glue]


def _entering(
    enter: Callable[[str, nn.Module, tuple[Any, ...]], None], name: str
) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    return lambda module, inputs: enter(name, module, inputs)


def _between(left: Tensor, right: Tensor) -> list[nn.Module] | None:
    """What networks do in their own forward between two layers: nothing, flatten, or pool and flatten."""
    candidates: list[list[nn.Module]] = [[], [nn.Flatten()]]
    if left.ndim == 4:
        candidates.append([nn.AdaptiveAvgPool2d(1), nn.Flatten()])
    for glue in candidates:
        value = nn.Sequential(*glue)(left)
        if value.shape == right.shape and torch.allclose(value, right, rtol=_RTOL, atol=_ATOL):
            return glue
    return None


def _runs(chain: Sequence[_Layer]) -> list[list[_Layer]]:
    runs: list[list[_Layer]] = [[]]
    here: tuple[int, int] | None = None
    for layer in chain:
        if layer.map_hw not in (None, here):
            if any(one.has_weights for one in runs[-1]):
                runs.append([])
            here = layer.map_hw
        runs[-1].append(layer)
    if len(runs) > 1 and not any(layer.has_weights for layer in runs[-1]):
        last = runs.pop()
        runs[-1] += last
    return runs


def _stage(run: Sequence[_Layer]) -> Stage:
    return Stage(
        names=tuple(dict.fromkeys(layer.name for layer in run)),
        layers=tuple(part for layer in run for part in (*layer.glue, layer.module)),
        map_hw=next((layer.map_hw for layer in reversed(run) if layer.map_hw is not None), None),
    )


def _no_chain(backbone: nn.Module, why: str) -> UserError:
    return UserError(
        f"network '{type(backbone).__name__}' cannot be cut into stages: {why}",
        'start.options.stages="all" with lr_factors=1.0 trains it whole; stages=0 trains its classifier alone.',
    )
