"""Features of several depths side by side: what an image holds (late layers), and what it is made of (early ones)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class JoinedFeatures(nn.Module):
    """A backbone's own features, and beside them the spatial means of inner layers.

    Images unlike those a network was trained on are often told apart better by its earlier layers: Zeiler and Fergus,
    "Visualizing and Understanding Convolutional Networks", 2013, section 5; Azizpour et al., "From Generic to Specific
    Deep Representations for Visual Recognition", 2015.

    Args:
        backbone: (N, C, H, W) -> (N, D).
        layers: names of modules within it that give (N, C', H', W') maps.
    """

    def __init__(self, backbone: nn.Module, layers: Sequence[str]) -> None:
        super().__init__()
        self.backbone = backbone
        self.layers = tuple(layers)

    def forward(self, images: Tensor) -> Tensor:
        """(N, D + the layers' channels), in the order in which they are computed."""
        means: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: object, maps: Tensor) -> None:
            means.append(maps.mean(dim=(2, 3)))

        hooks = [self.backbone.get_submodule(layer).register_forward_hook(keep) for layer in self.layers]
        try:
            features: Tensor = self.backbone(images)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([features, *means], dim=1)


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
