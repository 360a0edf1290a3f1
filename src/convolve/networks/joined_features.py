"""Features of several depths side by side: what an image holds (late layers), and what it is made of (early ones)."""

from collections.abc import Sequence
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from convolve.errors import UserError


class JoinedFeatures(nn.Module):
    """A backbone's own features, and beside them the spatial means of inner layers; or those means alone.

    Images unlike those a network was trained on are often told apart better by its earlier layers: Zeiler and Fergus,
    "Visualizing and Understanding Convolutional Networks", 2013, section 5; Azizpour et al., "From Generic to Specific
    Deep Representations for Visual Recognition", 2015.

    Args:
        backbone: (N, C, H, W) -> (N, D).
        layers: names of modules within it that give (N, C', H', W') maps or (N, C') vectors; at least one if not
            `last`.
        last: the backbone's own features come first.

    Raises:
        UserError: the backbone has no layer of such a name.
        ValueError: neither a layer nor the backbone's own features.
    """

    def __init__(self, backbone: nn.Module, layers: Sequence[str], *, last: bool = True) -> None:
        super().__init__()
        if not layers and not last:
            raise ValueError("no features at all")
        known = [name for name, _ in backbone.named_modules() if name]
        for layer in layers:
            if layer not in known:
                raise _unknown_layer(layer, known)
        self.backbone = backbone
        self.layers = tuple(layers)
        self.last = last

    def extra_repr(self) -> str:
        """Tells it from another on the same backbone."""
        return f"layers={self.layers}, last={self.last}"

    def forward(self, images: Tensor) -> Tensor:
        """(N, D + the layers' channels), the layers' in the order in which they are computed.

        Raises:
            UserError: a layer gives neither maps nor vectors, or nothing because it is not used.
        """
        vectors: list[Tensor] = []
        answered: set[str] = set()

        def keep(layer: str, output: object) -> None:
            if not isinstance(output, Tensor) or output.ndim not in (2, 4):
                raise UserError(
                    f"layer '{layer}' gives no (N, C, H, W) maps or (N, D) vectors, but {_kind(output)}",
                    "Choose a layer around it, or before it.",
                )
            # A layer after it may well change its vectors in place.
            vectors.append(output.mean(dim=(2, 3)) if output.ndim == 4 else output.clone())
            answered.add(layer)

        hooks = [
            self.backbone.get_submodule(layer).register_forward_hook(
                lambda _module, _inputs, output, layer=layer: keep(layer, output)
            )
            for layer in self.layers
        ]
        try:
            features: Tensor = self.backbone(images)
        finally:
            for hook in hooks:
                hook.remove()
        unused = [layer for layer in self.layers if layer not in answered]
        if unused:
            raise UserError(f"layer '{unused[0]}' is not used when the network reads an image", "Choose another one.")
        return torch.cat([features, *vectors] if self.last else vectors, dim=1)


def check_layers(joined: JoinedFeatures, *, channels: int, image_hw: tuple[int, int]) -> None:
    """See that layers give features, by trying one empty image.

    Args:
        joined: left in the mode it is in.
        channels: of the images.
        image_hw: of the images, pixels.

    Raises:
        UserError: a layer gives neither maps nor vectors.
    """
    was_training = {module: module.training for module in joined.modules()}
    try:
        with torch.inference_mode():
            joined.eval()(torch.zeros(1, channels, *image_hw))
    finally:
        for module, training in was_training.items():
            module.training = training


def _unknown_layer(layer: str, known: Sequence[str]) -> UserError:
    near = get_close_matches(layer, known, n=3, cutoff=0.4)
    guess = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    outer = [name for name in known if "." not in name]
    return UserError(
        f"the network has no layer '{layer}'", f"{guess}Its outermost layers: {', '.join([*outer, 'last'])}."
    )


def _kind(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of {output.ndim} dimensions"
    return f"a {type(output).__name__}"


def stage_layers(backbone: nn.Module, *, channels: int, image_hw: tuple[int, int]) -> tuple[str, ...]:
    """The last layer at each resolution of the feature maps but the coarsest, from fine to coarse: the ends of stages.

    The mean of the coarsest is what most networks end in: their own features have it already.

    Args:
        backbone: run once, in test mode, on an empty image.
        channels: of the image.
        image_hw: of the image, pixels.
    """
    last_at: dict[int, str] = {}

    def note(name: str, output: object) -> None:
        # Maps of one position are features, not a stage.
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] * output.shape[3] > 1:
            last_at[output.shape[2]] = name

    hooks = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: note(name, output))
        for name, module in backbone.named_modules()
        if name
    ]
    was_training = backbone.training
    try:
        with torch.inference_mode():
            parameter = next(backbone.parameters())
            backbone.eval()(torch.zeros(1, channels, *image_hw, device=parameter.device))
    finally:
        backbone.train(was_training)
        for hook in hooks:
            hook.remove()
    return tuple(last_at[height] for height in sorted(last_at, reverse=True)[:-1])
