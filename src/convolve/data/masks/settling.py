"""From masks as they are stored to classes: what their values mean is settled once, before anything is trained."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from convolve.data.dataset import IGNORE, Dataset, Mask, MaskCoding, Note, Problem
from convolve.data.masks import diagnosis
from convolve.data.masks.class_tables import ClassTable, tables_beside
from convolve.data.masks.coding import class_of_values, plain
from convolve.data.masks.deciding import declare
from convolve.data.masks.declaration import without_ignored
from convolve.data.masks.options import MaskOptions
from convolve.data.masks.scan import Census, MaskScan, scan_masks
from convolve.data.masks.values import hexadecimal, unpack_colour
from convolve.errors import UserError, shown
from convolve.progress import Progress, silent

__all__ = ["MaskOptions", "settle_masks"]

_MOST_LINES = 5


def settle_masks(dataset: Dataset, options: MaskOptions, progress: Progress = silent) -> Dataset:
    """The data set with its classes and its coding, ignored classes left out of them.

    Every mask is looked at once. Masks that cannot be read, or in which all is ignored, are left out and are among the
    problems; so are values without a class, classes without a pixel, and what was guessed.

    Args:
        dataset: as its reader found it; every target is a `Mask`.
        options: the recipe's section `masks`.
        progress: told how far reading is.

    Raises:
        UserError: sizes differ from the images', or the values do not mean what is said of them; what mends it.
    """
    scans = scan_masks(dataset, progress)
    dataset, scans = _without(dataset, scans, {row: scan.broken for row, scan in enumerate(scans) if scan.broken})
    diagnosis.check_sizes(dataset, scans)
    census = Census(scans)
    diagnosis.check_alpha(census, dataset.name)
    notes: tuple[str, ...] = ()
    if dataset.coding is not None and options == MaskOptions():
        classes, coding = dataset.classes, dataset.coding
    else:
        beside = _tables_beside(dataset)
        declared = declare(census, options, where=dataset.name, known=dataset.classes, beside=beside)
        classes, coding = without_ignored(declared, options)
        notes = declared.notes
    dataset, scans = _without(dataset, scans, _of_another_kind(scans, coding))
    found = _Found(scans, classes, coding)
    problems = [Note("masks", what) for what in (*notes, *found.transparent(), *found.undeclared(), *found.absent())]
    found.check(dataset.name)
    settled, _ = _without(replace(dataset, classes=classes, coding=coding), scans, found.empty())
    return replace(settled, problems=(*settled.problems, *problems))


class _Found:
    """The values of masks in the light of a coding."""

    def __init__(self, scans: Sequence[MaskScan], classes: Sequence[str], coding: MaskCoding) -> None:
        self._scans = scans
        self._classes = classes
        self._coding = coding
        self._counts = [scan.numbers() if coding.kind == "index" else scan.colours() for scan in scans]
        self._pixels = sum(scan.hw[0] * scan.hw[1] for scan in scans)
        self._class_of = class_of_values(coding)
        self._ignored = {plain(value) for value in coding.ignored}

    def check(self, where: str) -> None:
        """See that at least two classes occur.

        Raises:
            UserError: they do not.
        """
        present = self._present()
        if len(present) < 2:
            only = f"all that counts in the masks is '{self._classes[min(present)]}'" if present else "nothing counts"
            raise diagnosis.nothing_to_tell_apart(where, only)

    def empty(self) -> dict[int, str]:
        """The masks without a pixel of any class."""
        return {
            row: "every pixel is ignored"
            for row, counts in enumerate(self._counts)
            if not any(value in self._class_of for value in counts)
        }

    def transparent(self) -> list[str]:
        """What became of transparent pixels, if there are any."""
        some = [scan.transparent for scan in self._scans if scan.transparent]
        return [f"{self._share(sum(some))} are transparent, in {len(some):,} masks: taken for black"] if some else []

    def undeclared(self) -> list[str]:
        """A line for each of the most frequent values without a class, and one for all the others."""
        pixels: Counter[int] = Counter()
        masks: Counter[int] = Counter()
        for scan, counts in zip(self._scans, self._counts, strict=True):
            unknown = {value: count for value, count in counts.items() if not self._is_declared(value, scan)}
            pixels.update(unknown)
            masks.update(unknown.keys())
        most = pixels.most_common(_MOST_LINES)
        lines = [
            f"{self._named(value)}: {self._share(count)}, in {masks[value]:,} masks, has no class: ignored"
            for value, count in most
        ]
        others = pixels.total() - sum(count for _, count in most) + sum(scan.rest for scan in self._scans)
        if others:
            lines.append(f"other {self._coding.kind} values: {self._share(others)} have no class: ignored")
        return lines

    def absent(self) -> list[str]:
        """The classes that no mask has."""
        present = self._present()
        absent = [f"'{name}'" for index, name in enumerate(self._classes) if index not in present]
        if not absent:
            return []
        return [f"{len(absent):,} of {len(self._classes):,} classes occur in no mask: {shown(absent)}"]

    def _present(self) -> set[int]:
        return {self._class_of[value] for counts in self._counts for value in counts if value in self._class_of}

    def _is_declared(self, value: int, scan: MaskScan) -> bool:
        drawn_away = scan.storage == "shapes" and value == IGNORE
        return value in self._class_of or value in self._ignored or drawn_away

    def _named(self, value: int) -> str:
        if self._coding.kind == "index":
            return f"value {value}"
        return f"colour {','.join(map(str, unpack_colour(value)))} ({hexadecimal(value)})"

    def _share(self, count: int) -> str:
        share = count / self._pixels
        return f"{share:.1%} of pixels" if share >= 1e-3 else f"{count:,} pixels"


def _without(
    dataset: Dataset, scans: Sequence[MaskScan], broken: Mapping[int, str]
) -> tuple[Dataset, tuple[MaskScan, ...]]:
    """All but the rows that are broken, each of which becomes a problem."""
    rows = [row for row in range(len(scans)) if row not in broken]
    problems = [
        Problem(dataset.samples[row].name, f"left out: {_mask(dataset, row)}{why}") for row, why in broken.items()
    ]
    if not rows:
        raise UserError(
            f"{dataset.name}: not one mask can be used ({problems[0].where}: {problems[0].what})",
            "Mend the masks, or say what their values mean: masks.coding, masks.values, masks.ignore",
        )
    return dataset.keep(rows, problems), tuple(scans[row] for row in rows)


def _mask(dataset: Dataset, row: int) -> str:
    """What to call a sample's mask."""
    target = dataset.samples[row].target
    return f"its mask {target.source.name}: " if isinstance(target, Mask) and isinstance(target.source, Path) else ""


def _tables_beside(dataset: Dataset) -> list[ClassTable]:
    files = [sample.image for sample in dataset.samples if isinstance(sample.image, Path)]
    targets = [sample.target for sample in dataset.samples]
    files += [t.source for t in targets if isinstance(t, Mask) and isinstance(t.source, Path)]
    return tables_beside(files) if files else []


def _of_another_kind(scans: Sequence[MaskScan], coding: MaskCoding) -> dict[int, str]:
    """Masks that have no such values at all."""
    if coding.kind == "index":
        return {row: "it holds colours, where numbers are expected" for row, scan in enumerate(scans) if not scan.grey}
    return {
        row: "it holds numbers above 255, where colours are expected"
        for row, scan in enumerate(scans)
        if scan.storage == "grey" and max(scan.counts) > 255
    }
