"""A trained network for masks with all that predicting takes, in memory and in one self-describing file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

from convolve.data.decoding import BrokenImage
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.data.rasters import Pixels, RasterSource, Valid, open_source
from convolve.deploy.segmentation.maps import Segmentation, assemble
from convolve.deploy.segmentation.prediction import TILE, MapPrediction
from convolve.deploy.segmentation.raster_output import RasterFiles, write_raster
from convolve.deploy.segmentation.summary import MapSummary
from convolve.deploy.segmentation.uncertainty import Members, Views
from convolve.errors import UserError
from convolve.networks.network import Network
from convolve.networks.pixel_network import PixelNetwork
from convolve.networks.score_maps import SCORE_MAPS
from convolve.networks.score_maps.building import build_network, build_pixel_network
from convolve.progress import Progress, silent
from convolve.recipe.schema import Recipe
from convolve.run.tensors import read_tensors, write_tensors
from convolve.training.compute import Compute

_TASK, _FORM = "segment", "pixels"


@dataclass(frozen=True)
class SegmentationModel:
    """A network that gives every pixel of files or arrays a class.

    Attributes:
        network: any mode.
        architecture: what builds the network, as `describe_pixel_network` says it.
        classes: names, in the order of the outputs.
        colours: (K) r, g, b of each class in pictures.
        preprocessing: from an image's values to the network's input.
        temperature: divisor of the logits.
        facts: for people: where the model comes from, its licence, the date; plain JSON values.
        compute: where and how to run.
    """

    network: PixelNetwork
    architecture: Mapping[str, Any]
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    preprocessing: PixelPreprocessing
    temperature: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    compute: Compute = field(default_factory=Compute)

    def segment(
        self,
        image: Path | Pixels,
        *,
        valid: Valid | None = None,
        passes: int = 0,
        views: Views = "none",
        tile: int = TILE,
        seed: int = 0,
        name: str | None = None,
    ) -> Segmentation:
        """All maps of an image that fits in memory, with 4 (K + 4) bytes for each of its pixels.

        Args:
            image: a file; or (H, W) or (H, W, C) pixels, of which the model's bands are taken where there are others.
            valid: (H, W), False where an array has no data.
            passes: with dropout on, for the uncertainty that comes from few training images; 0 = none.
            views: of the image whose mean is taken: "none" (as it is), "mirror", "flips" or "turns".
            tile: images up to this side, pixels at the preprocessing's scale, are predicted whole, others by tiles.
            seed: of the dropout.
            name: of the image, for messages, and so that images draw their dropout apart; of a file its own.

        Raises:
            BrokenImage: the image cannot be read.
            UserError: it does not suit the model, or the network has no dropout.
        """
        prediction = self.prediction(passes=passes, views=views, tile=tile, seed=seed)
        with self.source(image, valid) as source:
            return assemble(list(prediction.strips(source, name=_name(image, name))))

    def segment_raster(
        self,
        image: Path,
        out: RasterFiles,
        *,
        passes: int = 0,
        views: Views = "none",
        tile: int = TILE,
        seed: int = 0,
        progress: Progress = silent,
    ) -> MapSummary:
        """Write the maps of an image of any size as GeoTIFFs, with its georeference; a row of tiles is in memory.

        Args:
            image: a file, georeferenced or not.
            out: what to write, and where. All of it is written, or none.
            passes: as for `segment`, likewise the three that follow.
            views: of the image.
            tile: side.
            seed: of the dropout.
            progress: told of every tile.

        Returns:
            What the maps come to.

        Raises:
            BrokenImage: the image cannot be read.
            UserError: it does not suit the model, the network has no dropout, `out` asks for what there is not, or
                there is no space.
        """
        prediction = self.prediction(passes=passes, views=views, tile=tile, seed=seed)
        if out.spread is not None and prediction.members.count == 1:
            raise UserError(
                f"{out.spread}: mutual information and deviation need more than one opinion",
                "Ask for passes with dropout, or for views=flips.",
            )
        with self.source(image, None) as source:
            strips = prediction.strips(source, name=image.name, progress=progress)
            return write_raster(out, strips, like=image, hw=source.hw, classes=self.classes, colours=self.colours)

    def prediction(self, *, passes: int = 0, views: Views = "none", tile: int = TILE, seed: int = 0) -> MapPrediction:
        """How maps are computed; arguments as for `segment`."""
        return MapPrediction(
            network=self.network,
            classes=len(self.classes),
            preprocessing=self.preprocessing,
            temperature=self.temperature,
            compute=self.compute,
            members=Members(passes=passes, views=views, seed=seed),
            tile=tile,
        )

    @contextmanager
    def source(self, image: Path | Pixels, valid: Valid | None) -> Iterator[RasterSource]:
        """An image with the bands that the network takes; arguments and errors as for `segment`."""
        bands = self.preprocessing.bands
        if not isinstance(image, Path) and image.ndim == 3 and image.shape[2] == self.preprocessing.channels:
            bands = tuple(range(1, self.preprocessing.channels + 1))  # chosen already, as in packs; none is alpha
        with open_source(image, bands=bands) as source:
            if valid is not None and valid.shape != source.hw:
                raise BrokenImage(f"valid is {valid.shape}, and the image {source.hw}")
            yield source if valid is None else _WithHoles(source, valid)

    def with_score_map(self, name: str, options: Mapping[str, Any]) -> "SegmentationModel":
        """The same weights as another rung of the ladder: patch by patch made dense, or the reverse.

        Args:
            name: in `SCORE_MAPS`.
            options: of the rung, as a recipe gives them.

        Raises:
            UserError: one of the two rungs is not trained on patches, so that the other has layers that it has not.
        """
        own = _Parts.of(self.architecture, outputs=len(self.classes), channels=self.preprocessing.channels)
        if SCORE_MAPS[name].trained_on != "patches" or SCORE_MAPS[own.score_map].trained_on != "patches":
            raise UserError(
                f"a '{own.score_map}' model has not the weights of '{name}'", f"Train it: segment.name={name}."
            )
        network = own.network()
        # Loaded through the network for masks, whose layers are those of `network` itself.
        own.around(network).load_state_dict(self.network.state_dict())
        other = replace(own, score_map=name, score_map_options=options).around(network)
        architecture = {**self.architecture, "score_map": {"name": name, "options": dict(options)}}
        return replace(self, network=other.eval(), architecture=architecture)

    def save(self, path: Path) -> None:
        """Write the model, whole or not at all.

        Raises:
            UserError: no space is left.
        """
        card = {
            "task": {"name": _TASK, "form": _FORM, "classes": list(self.classes)},
            "colours": [list(colour) for colour in self.colours],
            "preprocessing": self.preprocessing.model_dump(mode="json"),
            "network": dict(self.architecture),
            "temperature": self.temperature,
            "facts": dict(self.facts),
        }
        write_tensors(path, "model", self.network.state_dict(), card)


def describe_pixel_network(network: PixelNetwork, recipe: Recipe) -> dict[str, Any]:
    """What `load_segmentation_model` needs to build a network again, as plain JSON values.

    Args:
        network: built from the recipe.
        recipe: resolved.
    """
    # On crops only the parts that take images of any size can be trained, so that any size builds them again.
    side = network.patch_side or recipe.segment.crop
    return {
        "name": recipe.network.name,
        "options": dict(recipe.network.options),
        "score_map": {"name": recipe.segment.name, "options": dict(recipe.segment.options)},
        "image_hw": [side, side],
    }


def load_segmentation_model(path: Path, *, compute: Compute | None = None) -> SegmentationModel:
    """The model in a file; nothing in it is executed.

    Args:
        path: of the file.
        compute: where and how to run; None = plainly, on the CPU.

    Raises:
        UserError: the file is no model for masks, or damaged.
    """
    tensors, card = read_tensors(path, "model")
    if not is_segmentation(card):
        raise UserError(
            f"{path}: a model that classifies images, not pixels",
            "Give a model that was trained on images with masks.",
        )
    try:
        classes = tuple(map(str, card["task"]["classes"]))
        colours = tuple((int(red), int(green), int(blue)) for red, green, blue in card["colours"])
        preprocessing = PixelPreprocessing.model_validate(card["preprocessing"])
        parts = _Parts.of(card["network"], outputs=len(classes), channels=preprocessing.channels)
        temperature, facts = float(card["temperature"]), dict(card["facts"])
        if not {part for colour in colours for part in colour} <= set(range(256)):
            raise ValueError("colours are not from 0 to 255")
        if len(colours) != len(classes):
            raise ValueError(f"{len(colours)} colours for {len(classes)} classes")
        if not 0 < temperature < inf:
            raise ValueError(f"temperature is {temperature}")
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: its description is damaged ({error})", "Restore it from a copy.") from error
    network = parts.around(parts.network())
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise UserError(
            f"{path}: its weights do not fit its network '{parts.name}'", "Restore it from a copy."
        ) from error
    return SegmentationModel(
        network.eval(), card["network"], classes, colours, preprocessing, temperature, facts, compute or Compute()
    )


def is_segmentation(card: Mapping[str, Any]) -> bool:
    """Whether a model file's card is of a model for masks."""
    task = card.get("task")
    return isinstance(task, Mapping) and task.get("name") == _TASK and task.get("form") == _FORM


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a network for masks is built from: names and plain values."""

    name: str
    options: Mapping[str, Any]
    score_map: str
    score_map_options: Mapping[str, Any]
    outputs: int
    channels: int
    image_hw: tuple[int, int]

    @classmethod
    def of(cls, architecture: Mapping[str, Any], *, outputs: int, channels: int) -> "_Parts":
        """Those of a description; KeyError, TypeError or ValueError where it is damaged."""
        score_map = architecture["score_map"]
        height, width = map(int, architecture["image_hw"])
        if min(height, width) < 1:
            raise ValueError(f"image_hw is {height} x {width}")
        names = str(architecture["name"]), dict(architecture["options"])
        return cls(*names, str(score_map["name"]), dict(score_map["options"]), outputs, channels, (height, width))

    def network(self) -> Network:
        """With fresh weights."""
        size = {"outputs": self.outputs, "channels": self.channels}
        return build_network(self.name, self.options, image_hw=self.image_hw, **size)

    def around(self, network: Network) -> PixelNetwork:
        """The network for masks around the layers of a network."""
        size = {"outputs": self.outputs, "channels": self.channels}
        return build_pixel_network(self.score_map, self.score_map_options, network, image_hw=self.image_hw, **size)


class _WithHoles:
    """An image, with no data in some places."""

    def __init__(self, source: RasterSource, valid: Valid) -> None:
        self._source = source
        self._valid = valid
        self.hw, self.bands, self.dtype = source.hw, source.bands, source.dtype

    def read(self, top: int, left: int, height: int, width: int) -> tuple[Pixels, Valid | None]:
        pixels, valid = self._source.read(top, left, height, width)
        own = self._valid[top : top + height, left : left + width]
        return pixels, own if valid is None else own & valid


def _name(image: Path | Pixels, name: str | None) -> str:
    if name is not None:
        return name
    return image.name if isinstance(image, Path) else "an array"
