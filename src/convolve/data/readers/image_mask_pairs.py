"""Images with a mask each: in folders beside each other, in one folder, or in lists."""

from pathlib import Path

import numpy as np
from PIL import Image

from convolve.data.dataset import Dataset, Mask, Problem, Sample
from convolve.data.masks.pair_lists import list_files, listed_pairs
from convolve.data.masks.pairing import Pair, Pairing, has_pairs, pair_files
from convolve.data.reading import READERS, name_below
from convolve.errors import UserError, shown


class ImageMaskPairs:
    """images/x.jpg with masks/x.png, in folders of the usual names, at the top or in a folder for each split or site.

    Likewise train/ with trainannot/ or train_masks/, x.jpg beside x_mask.png, and lists train.txt, val.txt and test.txt
    of lines `image mask`. Where there are lists only what they name is read. Names have to be equal up to their ending,
    or up to a word such as _mask. If images lie in several sites' folders, those are groups.

    What the masks' values mean is found out later (`data.masks.settling`).
    """

    form = "image/mask pairs"
    layout = "images/x.jpg and masks/x.png, train/ and trainannot/, x.jpg and x_mask.png, or lists of such pairs"
    built_in = False

    def recognise(self, source: str) -> bool:
        """Whether it is a folder with lists of pairs, with folders of such names, or with masks beside most images."""
        folder = Path(source)
        return folder.is_dir() and (bool(list_files(folder)) or has_pairs(folder))

    def read(self, source: str) -> Dataset:
        """Samples in the order of their names, which are the images' paths below the folder, in Unicode's NFC.

        Raises:
            UserError: no image has a mask, or a list is not sound.
        """
        folder = Path(source)
        found = pair_files(folder)
        problems = list(found.problems)
        if list_files(folder):
            pairs, missing = listed_pairs(folder)
            problems = [*missing, *_unlisted(found, pairs)]
        else:
            pairs = found.pairs
            problems += [Problem(name_below(image, folder), "it has no mask") for image in found.images_alone]
            problems += [Problem(name_below(mask, folder), "a mask without an image") for mask in found.masks_alone]
            if not pairs:
                raise _none_match(found, source)
        kept = [pair for pair in pairs if _is_utf8(pair.image, folder)]
        problems += [
            Problem(name_below(pair.image, folder), "its name or its folder's is not UTF-8: rename it")
            for pair in pairs
            if not _is_utf8(pair.image, folder)
        ]
        several = len({pair.place for pair in kept}) > 1
        samples = [
            Sample(
                name=name_below(pair.image, folder),
                image=pair.image,
                target=Mask(pair.mask),
                split=pair.split,
                group=pair.place or None if several else None,
            )
            for pair in kept
        ]
        return Dataset(
            name=folder.resolve().name,
            form=self.form,
            classes=(),
            samples=tuple(sorted(samples, key=lambda sample: sample.name)),
            problems=tuple(sorted(problems, key=lambda problem: problem.where)),
        )

    def write_example(self, folder: Path) -> str:
        """Two 8 x 8 images whose masks have a class 1 in the middle of a class 0."""
        for part in ("images", "masks"):
            (folder / part).mkdir()
        for number in range(2):
            Image.fromarray(np.full((8, 8, 3), 90 * number, np.uint8)).save(folder / "images" / f"{number}.png")
            values = np.zeros((8, 8), np.uint8)
            values[2 + number : 6, 2:6] = 1
            Image.fromarray(values).save(folder / "masks" / f"{number}.png")
        return str(folder)


READERS.add("image_mask_pairs", ImageMaskPairs())


def _unlisted(found: Pairing, listed: list[Pair]) -> list[Problem]:
    names = {pair.image for pair in listed}
    more = sorted(pair.image.name for pair in found.pairs if pair.image not in names)
    return (
        [Problem("the lists", f"{len(more):,} images are in none of them and not read: {shown(more)}")] if more else []
    )


def _none_match(found: Pairing, source: str) -> UserError:
    images, masks = (sorted(file.name for file in files) for files in (found.images_alone, found.masks_alone))
    return UserError(
        f"{source}: not one of {len(images):,} images has a mask of its name: images are called {shown(images)}, masks "
        f"{shown(masks)}",
        "A mask must be called like its image up to the ending, or end in _mask: rename the masks.",
    )


def _is_utf8(path: Path, root: Path) -> bool:
    try:
        str(path.relative_to(root)).encode()
    except UnicodeEncodeError:
        return False
    return True
