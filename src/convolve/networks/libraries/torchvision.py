"""`torchvision:NAME`: any classification network of torchvision, which is imported only when one is asked for."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from convolve.networks.hub import require_connection
from convolve.networks.initialisation import he_initialise, output_layer
from convolve.networks.library import LIBRARIES, Library, feature_width, unknown_network
from convolve.networks.network import Architecture, Network
from convolve.networks.pretrained import Weights

# Both would otherwise return the outputs of their auxiliary heads too, and warn about their slow initialisation.
_ARGUMENTS: dict[str, dict[str, bool]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


def _names() -> list[str]:
    from torchvision import models

    names: list[str] = models.list_models(module=models)
    return names


def _published(name: str) -> list[Any]:
    """The weights that torchvision has of a network, the freely licensed ones where there are any, best last."""
    from torchvision import models

    if name not in _names():
        raise unknown_network("torchvision", name, _names())
    every = list(models.get_model_weights(name))
    free = [weights for weights in every if "license" not in weights.meta] or every
    side = min(weights.transforms().crop_size[0] for weights in free)
    return [weights for weights in free if weights.transforms().crop_size[0] == side]


def _replace(network: nn.Module, path: str, layer: nn.Module) -> None:
    parent, _, attribute = path.rpartition(".")
    setattr(network.get_submodule(parent), attribute, layer)


def _without_classifier(network: nn.Module) -> nn.Module:
    """The network with its last layer that has weights, a linear one or SqueezeNet's 1 x 1 convolution, taken out."""
    layers = [path for path, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    _replace(network, layers[-1], nn.Identity())
    return network


def _take_channels(network: nn.Module, channels: int) -> None:
    """Replace the first convolution, which is for RGB, by one for images of other channels."""
    path, first = next((path, layer) for path, layer in network.named_modules() if isinstance(layer, nn.Conv2d))
    if first.in_channels == channels:
        return
    replacement = nn.Conv2d(
        channels,
        first.out_channels,
        (first.kernel_size[0], first.kernel_size[1]),
        stride=(first.stride[0], first.stride[1]),
        padding=first.padding if isinstance(first.padding, str) else (first.padding[0], first.padding[1]),
        bias=first.bias is not None,
    )
    he_initialise(replacement)
    _replace(network, path, replacement)


def _architecture(name: str) -> Architecture:
    import torchvision

    published = _published(name)
    full_name = f"torchvision:{name}"

    def build(outputs: int, *, channels: int, image_hw: tuple[int, int]) -> Network:
        network = torchvision.models.get_model(name, weights=None, **_ARGUMENTS.get(name, {}))
        _take_channels(network, channels)
        backbone = _without_classifier(network)
        features = feature_width(backbone, name=full_name, channels=channels, image_hw=image_hw)
        return Network(backbone, output_layer(features, outputs), features=features)

    side = published[-1].transforms().crop_size[0]
    smallest = published[-1].meta["min_size"][0]
    return Architecture(
        name=full_name,
        build=build,
        about=f"{name} of torchvision, made for images of {side} pixels",
        source=f"torchvision {torchvision.__version__}",
        # Networks with position embeddings take the size they were built for and no other.
        sides=(side,) if smallest == side else (),
        smallest_side=smallest,
    )


def _downloaded() -> list[str]:
    """The names of what torch.hub's folder holds."""
    if not _hub_folder().is_dir():
        return []
    return [name for name in _names() if _weights(name).at_hand()]


def _hub_folder() -> Path:
    return Path(torch.hub.get_dir(), "checkpoints")


def _weights(name: str) -> Weights:
    from torchvision import models

    best = _published(name)[-1]
    preprocessing = best.transforms()
    server, file = f"https://{urlsplit(best.url).netloc}", Path(urlsplit(best.url).path).name

    def at_hand() -> bool:
        return (_hub_folder() / file).is_file()

    def load() -> dict[str, Tensor]:
        if not at_hand():
            require_connection(server, f"the weights of torchvision:{name}")
        network = models.get_model(name, weights=best, progress=False)
        return _without_classifier(network).state_dict()

    # These two came from TensorFlow; with weights, torchvision has them undo ImageNet's mean, which a plain one lacks.
    from_tensorflow = name in _ARGUMENTS
    return Weights(
        name=f"hub:torchvision:{name}",
        architecture=f"torchvision:{name}",
        source=urlsplit(best.url).netloc,
        licence=best.meta.get("license", "BSD-3-Clause"),
        trained_on="ImageNet-1k (ILSVRC 2012), 1.28 million photographs of 1,000 classes",
        mean=(0.5, 0.5, 0.5) if from_tensorflow else tuple(preprocessing.mean),
        std=(0.5, 0.5, 0.5) if from_tensorflow else tuple(preprocessing.std),
        sides=(preprocessing.crop_size[0],),
        how_to_get=f"with a network connection they are downloaded from {server}",
        at_hand=at_hand,
        load=load,
    )


LIBRARIES.add(
    "torchvision", Library(names=_names, architecture=_architecture, weights=_weights, downloaded=_downloaded)
)
