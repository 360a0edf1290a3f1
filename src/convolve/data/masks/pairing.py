"""Which mask belongs to which image: by the names of their folders, and by their own."""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from convolve.data.dataset import Problem, Split
from convolve.data.reading import is_clutter, is_image_file, name_below, split_of_word

_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "jpegs", "jpgs", "photos", "inputs", "input", "rgb")
_MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "annotations", "annotation", "annots", "annot", "groundtruth", "gts", "gt"),
    *("segmentations", "segmentation", "segmentationclass", "segmasks", "seg", "targets", "target", "truth"),
)
_MASK_WORDS = "masks?|labels?|annot|annotations?|gt|groundtruth|seg|segmentation|L"
_IMAGE_WORDS = "image|img|photo|sat|rgb|input"
_MASK_WORD, _IMAGE_WORD = (
    re.compile(rf"(?<=.)[ _.-](?:{words})$|^(?:{words})[ _.-](?=.)", re.IGNORECASE)
    for words in (_MASK_WORDS, _IMAGE_WORDS)
)
_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask.

    Attributes:
        image: the file.
        mask: the file.
        split: what the names of its folders say, if anything.
        place: the names of the folders down to the one that holds the images' folder and the masks', without splits;
            empty where that is the data set's own.
    """

    image: Path
    mask: Path
    split: Split | None = None
    place: str = ""


@dataclass(slots=True)
class Pairing:
    """All that was found: pairs, images without a mask and masks without an image, and what else was left out."""

    pairs: list[Pair] = field(default_factory=list)
    images_alone: list[Path] = field(default_factory=list)
    masks_alone: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def pair_files(root: Path) -> Pairing:
    """Pairs in folders of images and masks anywhere below the root or, where there are none, beside each other."""
    found = Pairing()
    places = list(_places(root))
    for image_folder, mask_folder in places:
        _pair_folders(image_folder, mask_folder, root, found)
    if not places:
        for folder in _folders_below(root):
            pairs, images_alone, masks_alone = _beside(folder)
            split = _split(folder, root)
            found.pairs += [Pair(folder / image, folder / mask, split) for image, mask in pairs]
            found.images_alone += [folder / name for name in images_alone]
            found.masks_alone += [folder / name for name in masks_alone]
        return found
    read = [folder for place in places for folder in place]
    for folder in _folders_below(root):
        if not any(folder.is_relative_to(other) for other in read) and (images := _image_names(folder)):
            where = "the top folder" if folder == root else f"{name_below(folder, root)}/"
            found.problems.append(Problem(where, f"{len(images):,} images are not read: no folder of masks beside it"))
    return found


def has_pairs(root: Path) -> bool:
    """Whether there is a folder of images beside one of masks, or most images have their masks beside them."""
    if next(_places(root), None) is not None:
        return True
    in_pairs = alone = 0
    for folder in _folders_below(root):
        pairs, images_alone, masks_alone = _beside(folder)
        in_pairs += len(pairs)
        alone += len(images_alone) + len(masks_alone)
    return in_pairs > alone


def _places(root: Path) -> Iterator[tuple[Path, Path]]:
    """Each folder of images with its folder of masks."""
    taken: set[Path] = set()
    for folder in _folders_below(root):
        if any(folder.is_relative_to(other) for other in taken):
            continue
        for place in _siblings(folder):
            taken |= set(place)
            yield place


def _siblings(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Images and masks in two folders of this one, called by what they hold or like train and trainannot."""
    inner = {_plain(entry.name): entry for entry in _inner(folder)}
    if (folder / "JPEGImages").is_dir() and (folder / "SegmentationClass").is_dir():
        return  # Pascal VOC, which has a reader of its own
    masks = [inner[word] for word in _MASK_FOLDERS if word in inner and _any_image(inner[word])]
    images = [inner[word] for word in _IMAGE_FOLDERS if word in inner and _any_image(inner[word])]
    if images and masks:
        yield images[0], masks[0]
    for name, mask_folder in inner.items():
        image_folder = _base(name, inner)
        if image_folder is not None and set(_by_key(image_folder)) & set(_by_key(mask_folder)):
            yield image_folder, mask_folder


def _base(name: str, inner: Mapping[str, Path]) -> Path | None:
    """For a folder like trainannot or train_masks, the folder train or train_images beside it."""
    for word in sorted(_MASK_FOLDERS, key=len, reverse=True):
        base = name.removesuffix(word)
        if base and base != name:
            likely = (base, *(base + image_word for image_word in _IMAGE_FOLDERS))
            return next((inner[other] for other in likely if other in inner), None)
    return None


def _pair_folders(images: Path, masks: Path, root: Path, found: Pairing) -> None:
    by_image, by_mask = _by_key(images, found, root), _by_key(masks, found, root)
    for key in by_image.keys() & by_mask.keys():
        found.pairs.append(_pair(by_image.pop(key), by_mask.pop(key), images.parent, root))
    # Only then by what is left of names such as x_mask.png or mask_7.png, so that equal names always win.
    cores = {_core(key, _IMAGE_WORD): key for key in by_image}
    for key in list(by_mask):
        image = cores.pop(_core(key, _MASK_WORD), None)
        if image is not None:
            found.pairs.append(_pair(by_image.pop(image), by_mask.pop(key), images.parent, root))
    found.images_alone += by_image.values()
    found.masks_alone += by_mask.values()


def _beside(folder: Path) -> tuple[list[tuple[str, str]], list[str], list[str]]:
    """Names in one folder: x.jpg with x_mask.png, images without such a mask, and such masks without an image."""
    names = {_key(name): name for name in _image_names(folder)}
    masks = {key: name for key, name in names.items() if _core(key, _MASK_WORD) != key}
    images = {_core(key, _IMAGE_WORD): name for key, name in names.items() if key not in masks}
    pairs, masks_alone = [], []
    for key, mask in masks.items():
        image = images.pop(_core(key, _MASK_WORD), None)
        if image is None:
            masks_alone.append(mask)
        else:
            pairs.append((image, mask))
    return pairs, list(images.values()), masks_alone


def _pair(image: Path, mask: Path, above: Path, root: Path) -> Pair:
    place = "/".join(part for part in above.relative_to(root).parts if split_of_word(part) is None)
    return Pair(image, mask, _split(image.parent, root), unicodedata.normalize("NFC", place))


def _split(folder: Path, root: Path) -> Split | None:
    """The split that one of the folders' names is, alone or before a word for images: train, train_images."""
    words = "|".join(_IMAGE_FOLDERS)
    for part in folder.relative_to(root).parts:
        split = split_of_word(re.sub(rf"[ _-]?(?:{words})$", "", part, flags=re.IGNORECASE))
        if split is not None:
            return split
    return None


def _by_key(folder: Path, found: Pairing | None = None, root: Path | None = None) -> dict[str, Path]:
    """Images below a folder by their path without ending; a second one of the same key is left out."""
    by_key: dict[str, Path] = {}
    for inner in _folders_below(folder):
        below = "" if inner == folder else f"{inner.relative_to(folder).as_posix()}/"
        for name in _image_names(inner):
            file = inner / name
            first = by_key.setdefault(_key(below + name), file)
            if first is not file and found is not None and root is not None:
                what = f"not read: {first.name} has the same name"
                found.problems.append(Problem(name_below(file, root), what))
    return by_key


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.rpartition(".")[0])


def _core(key: str, word: re.Pattern[str]) -> str:
    """A key without a word for what it is, such as _mask at its end or mask_ at its start."""
    folder, slash, name = key.rpartition("/")
    return folder + slash + word.sub("", name, count=1)


def _plain(name: str) -> str:
    return re.sub(r"[ _-]", "", unicodedata.normalize("NFC", name).lower())


def _inner(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:  # which knows folders without asking the disk for each file
        return sorted(folder / entry.name for entry in entries if entry.is_dir() and not is_clutter(entry.name))


def _image_names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if is_image_file(entry.name) and entry.is_file())


def _any_image(folder: Path) -> bool:
    return any(is_image_file(name) for inner in _folders_below(folder) for name in os.listdir(inner))  # noqa: PTH208


def _folders_below(root: Path) -> Iterator[Path]:
    """A folder and those in it, a few levels down, in one order; links may go round in circles and are not followed."""
    for here, inner, _ in os.walk(root):
        deep = len(Path(here).relative_to(root).parts) >= _DEEPEST
        inner[:] = [] if deep else sorted(name for name in inner if not is_clutter(name))
        yield Path(here)
