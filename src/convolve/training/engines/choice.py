"""An engine's outputs are compared with torch's on real images before they are believed."""

from collections import OrderedDict

from torch import Tensor, nn

from convolve.errors import UserError
from convolve.progress import Progress
from convolve.training.compute import Compute
from convolve.training.engines import AT_ONCE, ENGINES, CannotRun, Runner

# Root mean square of the differences, as a share of that of the outputs. On EfficientNet-Lite0 float32 differs by 6e-7;
# bfloat16 has 8 bits of mantissa, and its roundings add up over the layers.
_FLOAT32_BOUND = 1e-3
_BFLOAT16_BOUND = 0.05
_IMAGES_COMPARED = 8
# Converting takes seconds, and one run asks for the same layers again and again: other draws, rows and folds.
_MOST_KEPT = 2

_kept: OrderedDict[tuple[object, ...], Runner | None] = OrderedDict()


def checked_runner(
    module: nn.Module,
    images: Tensor,
    compute: Compute,
    *,
    key: str,
    required: bool,
    progress: Progress,
    at_once: int = AT_ONCE,
) -> Runner:
    """A module that is not trained, run by the engine of `compute`; by torch where that cannot, or disagrees with it.

    Args:
        module: in test mode.
        images: (N, C, H, W) real ones, normalised.
        compute: where and how, and the engine.
        key: of the module's layers and weights: equal keys, equal functions.
        required: an engine that fails is an error.
        progress: told when torch stands in.
        at_once: see `Engine`.

    Raises:
        UserError: the engine fails and `required`.
    """
    channels, height, width = images.shape[1:]
    shape = (channels, height, width)
    plain = ENGINES["torch"](module, shape, compute)
    if compute.engine == "torch":
        return plain
    place = (key, shape, compute, at_once)
    if place not in _kept or (required and _kept[place] is None):
        try:
            _kept[place] = _agreeing(module, images[:_IMAGES_COMPARED], compute, at_once)
        except CannotRun as error:
            reason = f"{compute.engine} cannot run this network ({error})"
            if required:
                raise UserError(reason, "Give compute.engine=auto or torch.") from error
            progress(f"{reason}: computing with torch", 0, 0)
            _kept[place] = None
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(place)
    return _kept[place] or plain


def _agreeing(module: nn.Module, images: Tensor, compute: Compute, at_once: int) -> Runner:
    channels, height, width = images.shape[1:]
    shape = (channels, height, width)
    run = ENGINES[compute.engine](module, shape, compute, at_once=at_once)
    exact = ENGINES["torch"](module, shape, compute.model_copy(update={"bfloat16": False}))
    outputs, expected = run(images), exact(images)
    if outputs.shape != expected.shape:
        raise CannotRun(f"its outputs are {tuple(outputs.shape)}, not {tuple(expected.shape)}")
    difference, scale = (float(values.square().mean().sqrt()) for values in (outputs - expected, expected))
    bound = _BFLOAT16_BOUND if compute.bfloat16 else _FLOAT32_BOUND
    # Asked so that what is no number at all does not agree.
    if not difference <= bound * scale:
        raise CannotRun(f"its outputs differ from torch's by {difference / max(scale, 1e-30):.1%}")
    return run
