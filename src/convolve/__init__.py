"""The workbench for convolutional networks on your own images.

Names are imported when they are first used: PyTorch takes seconds, and `convolve --help` must not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convolve.errors import UserError
    from convolve.faces.detector import ObjectDetector
    from convolve.faces.estimators import ImageClassifier
    from convolve.faces.python import explain, load, look, train
    from convolve.faces.segmenter import ImageSegmenter
    from convolve.recipe.schema import Recipe

    __version__: str

__all__ = [
    "ImageClassifier",
    "ImageSegmenter",
    "ObjectDetector",
    "Recipe",
    "UserError",
    "__version__",
    "explain",
    "load",
    "look",
    "train",
]

_HOMES = {
    "ImageClassifier": "convolve.faces.estimators",
    "ImageSegmenter": "convolve.faces.segmenter",
    "ObjectDetector": "convolve.faces.detector",
    "Recipe": "convolve.recipe.schema",
    "UserError": "convolve.errors",
    "explain": "convolve.faces.python",
    "load": "convolve.faces.python",
    "look": "convolve.faces.python",
    "train": "convolve.faces.python",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("convolve")
    if name not in _HOMES:
        raise AttributeError(f"module 'convolve' has no attribute '{name}'")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
