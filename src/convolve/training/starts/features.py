import time
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from convolve.data.preprocessing import Preprocessing
from convolve.networks.heads import fitted_numbers
from convolve.networks.joined_features import JoinedFeatures, check_layers, stage_layers
from convolve.networks.network import Network
from convolve.networks.symmetric_features import SymmetricFeatures, Symmetry, symmetry_in_words
from convolve.training.classifiers import CLASSIFIERS, check_labels, fit_classifier
from convolve.training.features import frozen_features
from convolve.training.starts import STARTS, Division, Job, Trained

_LAST = "last"


@STARTS.register("features")
class Features:
    """Frozen features and a classic classifier: nothing of the backbone is trained.

    Training and validation images are both fitted on: the classifier's setting and the temperature come from
    cross-validation within them, so none need be set aside for choosing.

    Args:
        layers: "last" (the features that the network's own classifier reads), "stages" (these, and the spatial mean
            of the last layer at each resolution), or names of the backbone's modules, "last" possibly among them.
        classifier: logistic, linear-svm, rbf-svm, nearest-neighbours, random-forest or lda.
        symmetry: features are means over copies of an image that show the same: "none", "mirror" (2 copies), "flips"
            (4) or "turns" (8: also quarter turns); as many times the work, in prediction too.

    Raises:
        UserError: there is no such classifier.
    """

    def __init__(
        self,
        *,
        layers: Literal["last", "stages"] | Annotated[list[str], Field(min_length=1)] = "stages",
        classifier: str = "logistic",
        symmetry: Symmetry = "none",
    ) -> None:
        self._layers = layers
        self._name = classifier
        self._classifier = CLASSIFIERS[classifier]
        self._symmetry: Symmetry = symmetry

    @property
    def names_layers(self) -> bool:
        """Whether the layers are named one by one, so that names can be wrong."""
        return isinstance(self._layers, list)

    def check_network(self, backbone: nn.Module, *, channels: int, image_hw: tuple[int, int]) -> None:
        """Before any image is decoded, see that the backbone has the layers, and that they give features.

        Args:
            backbone: (N, C, H, W) -> (N, D); run once on an empty image.
            channels: of the images.
            image_hw: of the images, pixels.

        Raises:
            UserError: a layer does not exist or gives no features.
        """
        joined = self._joined(backbone, channels=channels, image_hw=image_hw)
        if isinstance(joined, JoinedFeatures):
            check_layers(joined, channels=channels, image_hw=image_hw)

    def divide(self, network: Network, preprocessing: Preprocessing) -> Division:
        """The whole backbone is frozen."""
        return Division(frozen=network.backbone, trained=network.head, most_views=1)

    def train(self, job: Job) -> Trained:
        """Compute the features, unless the cache has them, and fit the head."""
        started = time.monotonic()
        rows = np.sort(np.concatenate([job.train_rows, job.validation_rows]))
        targets = job.targets[torch.from_numpy(rows)]
        check_labels(self._name, targets, job.folds[rows])
        backbone = self._joined(
            job.network.backbone, channels=job.preprocessing.channels, image_hw=job.preprocessing.image_hw
        )
        layers = _in_words(backbone)
        if self._symmetry != "none":
            backbone = SymmetricFeatures(backbone, self._symmetry)
        features = frozen_features(job, backbone)
        probe = fit_classifier(
            self._classifier,
            features[torch.from_numpy(rows)],
            targets,
            job.folds[rows],
            job.task,
            progress=lambda done, total: job.progress("fitting the classifier", done, total),
        )
        return Trained(
            network=Network(backbone, probe.head, features=features.shape[1]),
            temperature=probe.temperature,
            validation=probe.figures,
            chosen_on=f"{len(rows)} images by cross-validation (each judged by a classifier fitted without it)",
            trained_parameters=fitted_numbers(probe.head),
            train_images=len(rows),
            epochs=0,
            best_epoch=None,
            seconds=time.monotonic() - started,
            images_per_second=0.0,
            method=self._method(layers, images=len(rows), setting=probe.setting_in_words),
            features=features,
            notes=(
                f"Classifier {self._name}, chosen by cross-validation among training images: {probe.setting_in_words}.",
            ),
        )

    def _method(self, layers: str, *, images: int, setting: str) -> str:
        copies = "" if self._symmetry == "none" else f", {symmetry_in_words(self._symmetry)}"
        return (
            f"The backbone was left as it was, and {self._classifier.in_words} was fitted to {layers}{copies}. "
            f"Training and validation images ({images:,}) were fitted on together; the setting ({setting}) was chosen "
            "by cross-validation among them."
        )

    def _joined(self, backbone: nn.Module, *, channels: int, image_hw: tuple[int, int]) -> nn.Module:
        if self._layers == "stages":
            stages = stage_layers(backbone, channels=channels, image_hw=image_hw)
            # Without maps there is nothing to join, and a model file could not tell such a wrapper from none.
            return JoinedFeatures(backbone, stages) if stages else backbone
        if self._layers == _LAST:
            return backbone
        inner = [layer for layer in dict.fromkeys(self._layers) if layer != _LAST]
        return JoinedFeatures(backbone, inner, last=_LAST in self._layers) if inner else backbone


def _in_words(backbone: nn.Module) -> str:
    """The features of the backbone, for a sentence."""
    if not isinstance(backbone, JoinedFeatures):
        return "its last features"
    layers = f"the means of the maps of {', '.join(backbone.layers)}"
    return f"its last features joined with {layers}" if backbone.last else layers
