"""The lower levels of a backbone that stay as they are, run by the fastest engine while the others are trained."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from convolve.networks.feature_pyramid import FeaturePyramid
from convolve.progress import Progress
from convolve.training.compute import Compute
from convolve.training.engines import Runner
from convolve.training.engines.choice import checked_runner
from convolve.training.features import module_digest
from convolve.training.inference import in_test_mode

# Converting takes seconds for each size of images: that of training, and the first in evaluation.
_MOST_OTHERS = 1


class FrozenLower:
    """From a batch's images to what the levels that are trained take.

    Args:
        pyramid: the backbone; its levels below `entry` are not trained.
        normalise: from a batch's images to what the first level takes.
        compute: where, and by which engine.
        training_shape: images of a batch, height and width in training. Told, not seen: what computes which images must
            not depend on whether a training that is gone on with trains or evaluates first.
        engine_required: an engine that fails is an error.
        progress: told when torch stands in.
    """

    def __init__(
        self,
        pyramid: FeaturePyramid,
        normalise: Callable[[Tensor], Tensor],
        compute: Compute,
        *,
        training_shape: tuple[int, int, int],
        engine_required: bool,
        progress: Progress,
    ) -> None:
        self._module = _Lower(pyramid)
        self._normalise = normalise
        self._compute = compute
        self._training_shape = training_shape
        self._engine_required = engine_required
        self._progress = progress
        self._runners: dict[tuple[int, int], Runner] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] -> (N, D, h, w)."""
        normalised = self._normalise(images)
        hw = (normalised.shape[2], normalised.shape[3])
        if hw not in self._runners and (hw == self._training_hw or self._others < _MOST_OTHERS):
            at_once = self._training_shape[0] if hw == self._training_hw else len(normalised)
            self._runners[hw] = self._convert(normalised, at_once)
        if hw in self._runners:
            # Torch runs the module as it is at that time.
            with in_test_mode(self._module):
                maps = self._runners[hw](normalised)
            # Of tensors made in inference mode no gradient can be computed.
            return maps.clone() if maps.is_inference() else maps
        with torch.no_grad(), in_test_mode(self._module):
            plain: Tensor = self._module(self._compute.images(normalised))
        return plain

    @property
    def _training_hw(self) -> tuple[int, int]:
        return self._training_shape[1:]

    @property
    def _others(self) -> int:
        return sum(hw != self._training_hw for hw in self._runners)

    def _convert(self, normalised: Tensor, at_once: int) -> Runner:
        with in_test_mode(self._module):
            return checked_runner(
                self._module,
                normalised,
                self._compute,
                key=module_digest(self._module),
                required=self._engine_required,
                progress=self._progress,
                at_once=at_once,
            )


class _Lower(nn.Module):
    def __init__(self, pyramid: FeaturePyramid) -> None:
        super().__init__()
        self.levels = nn.ModuleList(pyramid.levels[: pyramid.entry])
        # Not a part of this module, whose weights are those of its levels alone.
        self._run = pyramid.lower

    def forward(self, images: Tensor) -> Tensor:
        return self._run(images, len(self.levels))
