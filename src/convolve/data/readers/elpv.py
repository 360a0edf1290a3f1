"""Solar cells seen by their own light: 2,624 electroluminescence images of 300 x 300 pixels.

They come with the package elpv-dataset; nothing is fetched.

Deitsch et al., "Segmentation of photovoltaic module cells in uncalibrated electroluminescence images", Machine Vision
and Applications 32 (2021); Buerhop-Lutz et al., "A benchmark for visual identification of defective solar cells in
electroluminescence imagery", EU PVSEC 2018; Deitsch et al., "Automatic classification of defective photovoltaic module
cells in electroluminescence images", Solar Energy 185 (2019), whose test set is a quarter of the cells.
"""

from importlib.util import find_spec
from pathlib import Path

from convolve.data.dataset import ClassLabel, Dataset, Sample
from convolve.data.reading import READERS
from convolve.errors import UserError

_CLASSES = ("defective", "functional")
_DEFECTIVE_FROM = 0.5


class Elpv:
    """Cells that experts judged: defective from a probability of one half, functional below.

    A cell's stratum is its class and its kind, monocrystalline or polycrystalline.
    """

    form = "built-in"
    layout = "the word elpv: solar cells, defective or functional"
    built_in = True

    def recognise(self, source: str) -> bool:
        """Whether it is the word."""
        return source == "elpv"

    def read(self, source: str) -> Dataset:
        """The cells in the order of the package's table.

        Raises:
            UserError: the package is not installed.
        """
        folder = _data_folder()
        samples = []
        for line in (folder / "labels.csv").read_text(encoding="utf-8").splitlines():
            path, probability, kind = line.split()
            label = _CLASSES[0] if float(probability) >= _DEFECTIVE_FROM else _CLASSES[1]
            target = ClassLabel(_CLASSES.index(label))
            samples.append(Sample(name=path, image=folder / path, target=target, stratum=f"{label}-{kind}"))
        return Dataset(
            name="elpv",
            form=self.form,
            classes=_CLASSES,
            samples=tuple(samples),
            proposed_test_share=0.25,
            licence="CC-BY-NC-SA-4.0",
        )

    def write_example(self, folder: Path) -> str:
        """Nothing to write."""
        return "elpv"


READERS.add("elpv", Elpv())


def _data_folder() -> Path:
    spec = find_spec("elpv_dataset")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            "the data set elpv comes from the package elpv-dataset, which is not installed",
            'Install it: pip install "convolve[datasets]"',
        )
    return Path(spec.submodule_search_locations[0]) / "data"
