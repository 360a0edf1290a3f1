"""Pascal VOC's segmentation folders: JPEGImages and SegmentationClass, with lists of the splits."""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Problem, Sample, Split
from convolve.data.masks.class_tables import tables_beside
from convolve.data.reading import READERS, MissingFile, is_clutter, is_image_file, name_below
from convolve.data.voc_lists import listed_names
from convolve.errors import UserError, shown

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)

_IMAGES, _MASKS, _LISTS = "JPEGImages", "SegmentationClass", "ImageSets/Segmentation"
_VOC_NAME = re.compile(r"(\d{4}_)?\d{6}")


def voc_colours(count: int) -> tuple[tuple[int, int, int], ...]:
    """(r, g, b) of the first values in Pascal VOC's colour map, at most 256.

    The bits of a value go to red, green and blue in turn, the lowest to each one's highest (`VOClabelcolormap.m` in
    VOC's development kit).

    >>> voc_colours(4)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    """

    def channel(value: int, offset: int) -> int:
        return sum(((value >> (3 * place + offset)) & 1) << (7 - place) for place in range(3))

    return tuple((channel(value, 0), channel(value, 1), channel(value, 2)) for value in range(count))


class VocMasks:
    """JPEGImages/NAME.jpg with SegmentationClass/NAME.png, and lists of names in ImageSets/Segmentation/.

    Only what train.txt, val.txt and test.txt list is read; trainval.txt stands in for the first two. Without lists it
    is every mask. If the files are VOC's own (its names and its palette, and no file with other classes beside them),
    the classes are VOC's 21 and 255 counts nowhere; otherwise what the masks' values mean is found out later.
    """

    form = "Pascal VOC masks"
    layout = "JPEGImages/*.jpg and SegmentationClass/*.png, with ImageSets/Segmentation/train.txt and val.txt"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is a folder with both folders."""
        return (Path(source) / _IMAGES).is_dir() and (Path(source) / _MASKS).is_dir()

    def read(self, source: str) -> Dataset:
        """Samples in the order of their names, which are the images' paths below the folder.

        Raises:
            UserError: an image is in two splits, two images have one name, or a list is not text.
        """
        folder = Path(source)
        images, masks = _by_stem(folder / _IMAGES), _by_stem(folder / _MASKS, suffixes={".png"})
        listed = listed_names(folder, _LISTS)
        samples: list[Sample] = []
        problems: list[Problem] = []
        pairs: list[tuple[Path, Path]] = []
        for name, (split, where) in sorted((listed or _unlisted(masks)).items()):
            if name not in images or name not in masks:
                absent = f"image '{name}' is not in {_IMAGES}/"
                if name in images:
                    absent = f"mask '{name}.png' is not in {_MASKS}/"
                problems.append(MissingFile(where, absent))
                continue
            image = images[name]
            samples.append(Sample(name_below(image, folder), image, Mask(masks[name]), split))
            pairs.append((image, masks[name]))
        problems += _left_out(images, masks, listed)
        of_voc = _are_vocs(pairs)
        return Dataset(
            name=folder.resolve().name,
            form=self.form,
            classes=VOC_CLASSES if of_voc else (),
            samples=tuple(samples),
            problems=tuple(problems),
            coding=_VOC_CODING if of_voc else None,
        )

    def write_example(self, folder: Path) -> str:
        """Two 8 x 8 images in train and one in val, with an aeroplane or a bicycle inside a void border."""
        for part in (_IMAGES, _MASKS, _LISTS):
            (folder / part).mkdir(parents=True)
        for number in range(3):
            Image.fromarray(np.full((8, 8, 3), 60 * number, np.uint8)).save(
                folder / _IMAGES / f"2007_00000{number}.jpg"
            )
            values = np.zeros((8, 8), np.uint8)
            values[2:6, 2:6] = IGNORE
            values[3:5, 3:5] = 1 + number % 2
            mask = Image.fromarray(values)
            mask.putpalette([level for colour in voc_colours(256) for level in colour])
            mask.save(folder / _MASKS / f"2007_00000{number}.png")
        (folder / _LISTS / "train.txt").write_text("2007_000000\n2007_000001\n", encoding="utf-8")
        (folder / _LISTS / "val.txt").write_text("2007_000002\n", encoding="utf-8")
        return str(folder)


READERS.add("voc_masks", VocMasks())

_VOC_CODING = MaskCoding(
    kind="index",
    values=tuple((value,) for value in range(len(VOC_CLASSES))),
    ignored=(IGNORE,),
    colours=voc_colours(len(VOC_CLASSES)),
)


def _by_stem(folder: Path, suffixes: set[str] | None = None) -> dict[str, Path]:
    """The images of a folder by their names without ending."""
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        wanted = is_image_file(file.name) if suffixes is None else file.suffix.lower() in suffixes
        if not wanted or is_clutter(file.name) or not file.is_file():
            continue
        if file.stem in found:
            raise UserError(
                f"{folder.name}/: '{found[file.stem].name}' and '{file.name}' have one name",
                "A mask belongs to the image of its name: rename one of them, or move it away.",
            )
        found[file.stem] = file
    return found


def _unlisted(masks: dict[str, Path]) -> dict[str, tuple[Split | None, str]]:
    return {name: (None, f"{_MASKS}/{mask.name}") for name, mask in masks.items()}


def _left_out(images: dict[str, Path], masks: dict[str, Path], listed: Iterable[str]) -> list[Problem]:
    """Masks that no list names or, without lists, images that no mask is for."""
    listed = set(listed)
    if listed and (more := sorted(masks.keys() - listed)):
        return [Problem(f"{_MASKS}/", f"{len(more):,} masks are in no list and not read: {shown(more)}")]
    if not listed and (more := sorted(images.keys() - masks.keys())):
        return [Problem(f"{_IMAGES}/", f"{len(more):,} images have no mask and are not read: {shown(more)}")]
    return []


def _are_vocs(pairs: Sequence[tuple[Path, Path]]) -> bool:
    """Whether images and masks are VOC's own.

    Many tools write VOC's folders and palette with other classes, so an image's name has to be VOC's as well; calling
    somebody's cells aeroplanes would be worse than asking what the values mean.
    """
    if not pairs or tables_beside(chain.from_iterable(pairs)):
        return False
    return all(_VOC_NAME.fullmatch(mask.stem) and _has_voc_palette(mask) for _, mask in pairs)


def _has_voc_palette(path: Path) -> bool:
    expected = [level for colour in voc_colours(len(VOC_CLASSES)) for level in colour]
    try:
        with Image.open(path) as mask:
            return mask.mode == "P" and (mask.getpalette() or [])[: len(expected)] == expected
    except Exception:  # a damaged mask is its decoder's to describe
        return False
