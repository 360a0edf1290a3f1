"""Images without labels: any data set, or simply every image below a folder."""

import os
from dataclasses import replace
from pathlib import Path

from convolve.data.dataset import ClassLabels, Dataset, Sample
from convolve.data.reading import is_clutter, is_image_file, read_dataset
from convolve.errors import UserError


def read_images(source: str) -> Dataset:
    """All images that the user means, with labels where every image has one.

    Args:
        source: a data set that a reader knows, or a folder with images anywhere below it.

    Returns:
        A data set; where images have no labels it has no classes, and every target is an empty `ClassLabels`.

    Raises:
        UserError: it is no data set, and no folder with an image in it.
    """
    folder = Path(source).expanduser()
    try:
        known = read_dataset(source, missing="skip")
    except UserError:
        if not folder.is_dir():
            raise
        known = None
    if not folder.is_dir():
        assert known is not None  # noqa: S101
        return known
    files = _image_files(folder)
    # A data set of arrays (IDX), or of files of which none lies outside of it; and masks are no images to learn from.
    if known is not None and (known.has_masks or len(known.samples) >= len(files)):
        return known
    if not files:
        raise UserError(f"{source}: there is not one image in it", "Name the folder that holds the images.")
    samples = tuple(Sample(file.relative_to(folder).as_posix(), file, ClassLabels(())) for file in files)
    return Dataset(name=folder.resolve().name, form="images", classes=(), samples=samples)


def without_test(dataset: Dataset) -> Dataset:
    """The images that may be looked at: all but a given test split, and with no split of their own any more."""
    rows = [row for row, sample in enumerate(dataset.samples) if sample.split != "test"]
    kept = dataset.keep(rows)
    return replace(kept, samples=tuple(replace(sample, split=None) for sample in kept.samples))


def _image_files(folder: Path) -> list[Path]:
    """Every image below a folder, in an order that is the same everywhere; links to folders are not followed."""
    files = []
    for here, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not is_clutter(name)]
        files += [Path(here, name) for name in names if is_image_file(name)]
    return sorted(files, key=lambda file: file.relative_to(folder).as_posix())
