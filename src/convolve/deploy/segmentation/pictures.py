"""A prediction as files that any program opens: masks, overlays, uncertainty and probabilities, each in its folder.

    labels/NAME.png          palette PNG: the value is the class's index (255 = no data), the colour is the class's
    overlays/NAME.png        the image with the classes' colours over it
    uncertainty/NAME.png     grey PNG, predictive entropy: 0 = sure, 255 = all classes equally probable (and no data)
    disagreement/NAME.png    grey PNG, mutual information likewise, where there were passes or views
    probabilities/NAME.npz   "probabilities" (K, H, W) float16 (NaN = no data) and "classes" (K,); numpy.load reads it

The folder of labels is a folder of masks that convolve and others train on: names pair with those of the images.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convolve.data.dataset import ImageArray
from convolve.data.masks.pictures import overlay
from convolve.data.pixel_preprocessing import PixelPreprocessing
from convolve.data.rasters import Pixels
from convolve.deploy.segmentation.maps import Segmentation
from convolve.deploy.segmentation.raster_output import RasterFiles
from convolve.errors import UserError
from convolve.run.files import write_atomically

_ALLOWED = set(" -_.,()[]+=@#&")
_LONGEST = 120
_LABELS, _OVERLAYS, _UNCERTAINTY, _DISAGREEMENT, _PROBABILITIES = (
    "labels",
    "overlays",
    "uncertainty",
    "disagreement",
    "probabilities",
)


def distinct_stems(images: Sequence[Path | str]) -> list[str]:
    """A plain file name without ending for each image, no two alike, also where case does not count.

    Args:
        images: paths or names; of equal stems the later ones get a number.

    >>> distinct_stems(["a/tile 1.png", "b/tile 1.tif", "../..", "b/Tile 1.jpg"])
    ['tile 1', 'tile 1-2', 'image', 'Tile 1-3']
    """
    taken: set[str] = set()
    stems = []
    for image in images:
        plain = _plain(Path(image).stem)
        stem, number = plain, 1
        while stem.casefold() in taken:
            number += 1
            ending = f"-{number}"
            stem = plain[: _LONGEST - len(ending)] + ending
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def write_prediction(
    folder: Path,
    stem: str,
    image: ImageArray,
    segmentation: Segmentation,
    classes: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
    *,
    probabilities: bool = False,
    uncertainty: bool = False,
) -> dict[str, Path]:
    """Write the maps of one image, each file whole or not at all; folders are made, files of the name replaced.

    Args:
        folder: for everything.
        stem: the files' name, see `distinct_stems`.
        image: (H, W, 3) RGB, see `picture_of`.
        segmentation: of it.
        classes: K names.
        colours: of the classes.
        probabilities: whether they are written too.
        uncertainty: likewise.

    Returns:
        The files by what they are: "labels", "overlay", "uncertainty", "disagreement", "probabilities".

    Raises:
        UserError: no space is left, or the folder is not the user's to write in.
        ValueError: the stem is no plain file name.
    """
    files = {
        "labels": (_LABELS, "png", _palette_png(segmentation.labels, colours)),
        "overlay": (_OVERLAYS, "png", _png(Image.fromarray(overlay(image, segmentation.labels, colours)))),
    }
    if uncertainty:
        files["uncertainty"] = (_UNCERTAINTY, "png", _nats_png(segmentation.entropy, len(classes)))
    if uncertainty and segmentation.mutual_information is not None:
        files["disagreement"] = (_DISAGREEMENT, "png", _nats_png(segmentation.mutual_information, len(classes)))
    if probabilities:
        files["probabilities"] = (_PROBABILITIES, "npz", _npz(segmentation.probabilities, classes))
    written = {}
    for what, (kind, ending, content) in files.items():
        written[what] = _place(folder, kind, stem, ending)
        write_atomically(written[what], content)
    return written


def raster_files(
    folder: Path, stem: str, *, probabilities: bool = False, uncertainty: bool = False, spread: bool = False
) -> RasterFiles:
    """Where the GeoTIFFs of one image lie, in the same folders; they are made.

    Args:
        folder: for everything.
        stem: the files' name, see `distinct_stems`.
        probabilities: whether they are wanted.
        uncertainty: likewise, predictive entropy.
        spread: likewise, mutual information and deviation, which take passes or views.

    Raises:
        UserError: a folder cannot be made.
        ValueError: the stem is no plain file name.
    """
    return RasterFiles(
        labels=_place(folder, _LABELS, stem, "tif"),
        probabilities=_place(folder, _PROBABILITIES, stem, "tif") if probabilities else None,
        entropy=_place(folder, _UNCERTAINTY, stem, "tif") if uncertainty else None,
        spread=_place(folder, _DISAGREEMENT, stem, "tif") if spread else None,
    )


def picture_of(pixels: Pixels, preprocessing: PixelPreprocessing) -> ImageArray:
    """(H, W, 3) RGB of an image's values: what the model sees as 0 is black, as 1 white.

    Args:
        pixels: (H, W, C), grey, RGB or the model's channels, of which the first three are shown, or the first as grey
            where there are two.
        preprocessing: the model's.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2] in (1, 3):
        return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels
    unit = preprocessing.to_unit(np.nan_to_num(pixels, posinf=0, neginf=0)).numpy()
    shown = unit[:3] if len(unit) >= 3 else np.repeat(unit[:1], 3, axis=0)
    return np.ascontiguousarray(np.rint(np.moveaxis(shown, 0, 2) * 255).astype(np.uint8))


def _plain(stem: str) -> str:
    """A name that is one on every system."""
    kept = "".join(letter if letter.isalnum() or letter in _ALLOWED else "_" for letter in stem)
    return kept[:_LONGEST].strip(" .") or "image"


def _place(folder: Path, kind: str, stem: str, ending: str) -> Path:
    if stem != _plain(stem):
        raise ValueError(f"{stem!r} is no plain file name: see distinct_stems")
    try:
        (folder / kind).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder / kind}: cannot be made: {error.strerror}", "Give another --out.") from error
    return folder / kind / f"{stem}.{ending}"


def _palette_png(labels: NDArray[np.uint8], colours: Sequence[tuple[int, int, int]]) -> bytes:
    picture = Image.fromarray(labels)
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(colours)] = colours
    picture.putpalette(palette.tobytes())
    return _png(picture)


def _nats_png(nats: NDArray[np.float32], classes: int) -> bytes:
    shares = np.nan_to_num(nats / np.float32(np.log(max(2, classes))), nan=1)
    return _png(Image.fromarray(np.rint(shares.clip(0, 1) * 255).astype(np.uint8)))


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _npz(probabilities: NDArray[np.float32], classes: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, probabilities=probabilities.astype(np.float16), classes=np.array(classes))
    return buffer.getvalue()
