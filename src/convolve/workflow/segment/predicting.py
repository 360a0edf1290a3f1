"""`convolve predict` with a model for masks: files for every image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from convolve.data.decoding import BrokenImage
from convolve.data.rasters import is_raster
from convolve.deploy.segmentation.model import SegmentationModel
from convolve.deploy.segmentation.pictures import distinct_stems, picture_of, raster_files, write_prediction
from convolve.deploy.segmentation.prediction import with_channels
from convolve.deploy.segmentation.raster_output import RasterFiles
from convolve.deploy.segmentation.summary import prediction_summary, summarise
from convolve.deploy.segmentation.uncertainty import Views
from convolve.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is predicted.

    Attributes:
        out: folder of the files; made on demand.
        probabilities: of every class and pixel.
        uncertainty: predictive entropy, and with passes or views mutual information.
        passes: with dropout on, whose mean is taken; 0 = one without.
        views: of the image, whose mean is taken.
    """

    out: Path
    probabilities: bool = False
    uncertainty: bool = False
    passes: int = 0
    views: Views = "none"


def predict_maps(
    model: SegmentationModel, images: Sequence[Path], wanted: Wanted, progress: Progress
) -> Iterator[dict[str, Any]]:
    """For each image, in order, the files and what they come to, or {"image", "error"}.

    GeoTIFFs give GeoTIFFs with their georeference, row of tiles by row of tiles; other images pictures.

    Raises:
        UserError: the model or an image does not suit what is wanted.
    """
    for image, stem in zip(images, distinct_stems(images), strict=True):
        try:
            predict = _predict_raster if is_raster(image) else _predict_picture
            yield predict(model, image, stem, wanted, progress)
        except BrokenImage as error:
            yield {"image": str(image), "error": str(error)}


def _predict_raster(
    model: SegmentationModel, image: Path, stem: str, wanted: Wanted, progress: Progress
) -> dict[str, Any]:
    several = wanted.passes > 1 or wanted.views != "none"
    files = raster_files(
        wanted.out,
        stem,
        probabilities=wanted.probabilities,
        uncertainty=wanted.uncertainty,
        spread=wanted.uncertainty and several,
    )
    summary = model.segment_raster(image, files, passes=wanted.passes, views=wanted.views, progress=progress)
    return prediction_summary(str(image), summary, model.classes, _written(files))


def _predict_picture(
    model: SegmentationModel, image: Path, stem: str, wanted: Wanted, progress: Progress
) -> dict[str, Any]:
    with model.source(image, None) as source:
        pixels, _ = source.read(0, 0, *source.hw)
    segmentation = model.segment(image, passes=wanted.passes, views=wanted.views)
    files = write_prediction(
        wanted.out,
        stem,
        picture_of(with_channels(pixels, model.preprocessing.channels), model.preprocessing),
        segmentation,
        model.classes,
        model.colours,
        probabilities=wanted.probabilities,
        uncertainty=wanted.uncertainty,
    )
    progress(f"predicted {image.name}", 1, 1)
    return prediction_summary(str(image), summarise(segmentation, len(model.classes)), model.classes, files)


def _written(files: RasterFiles) -> dict[str, Path]:
    places = {
        "labels": files.labels,
        "uncertainty": files.entropy,
        "disagreement": files.spread,
        "probabilities": files.probabilities,
    }
    return {what: path for what, path in places.items() if path is not None}
