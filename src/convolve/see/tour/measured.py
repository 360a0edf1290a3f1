"""What convolve measured on trainings too long for a page that is made in minutes: nothing here is computed now.

Each figure is of one run that is written down in benchmarks/LOG.md or in the notes that closed the project's issues 3,
4 and 5, with its conditions. A figure that nobody measured is None, never a guess.
"""

from dataclasses import dataclass

MACHINE = "2 cores of an AMD EPYC (Zen 3, AVX2, no bfloat16 in hardware), no GPU"
DATE = "November 2026"


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One way of a ladder, as it came out.

    Attributes:
        name: as a recipe calls it.
        quality: percent, of what the ladder's `measure` says.
        seconds: of what the ladder's `timed` says; None = not written down.
        proposal_seconds: of these, or besides, for an image's proposals; None = it has none, or not written down.
    """

    name: str
    quality: float
    seconds: float | None = None
    proposal_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """Rungs that were trained and tested on the same images.

    Attributes:
        data: which images, how many.
        command: that did it.
        measure: what `quality` is.
        timed: what `seconds` are; empty = nothing was timed.
        conditions: what else one has to know.
        rungs: lowest first.
    """

    data: str
    command: str
    measure: str
    timed: str = ""
    conditions: str
    rungs: tuple[Rung, ...]

    def words(self) -> str:
        """Where these figures are from, for a caption."""
        return (
            f"Measured in {DATE} on {MACHINE}, not computed now: {self.data}, by '{self.command}'; {self.conditions}."
        )


TRANSFER = Run(
    data="ELPV, 656 test cells of photovoltaic modules, 2 classes",
    command="convolve ladder transfer elpv data.test=0.25 augment=symmetric --budget 10m",
    measure="accuracy",
    conditions="EfficientNet-Lite0, one seed, 9 min 18 s for all four, other work beside; about one "
    "epoch of pre-training, which shows that it runs, not what it can do",
    rungs=(
        Rung(name="scratch", quality=74.1),
        Rung(name="unsupervised", quality=78.2),
        Rung(name="finetune", quality=86.6),
        Rung(name="features", quality=87.7),
    ),
)

FEW_LABELS = Run(
    data="MNIST with 10 labels a class, 10,000 test digits",
    command="convolve train mnist data.per_class=10 start=unsupervised",
    measure="accuracy",
    timed="of the whole training",
    conditions="one seed, idle machine; start=scratch beside it",
    rungs=(
        Rung(name="scratch", quality=86.6, seconds=41),
        Rung(name="unsupervised", quality=93.7, seconds=412),
    ),
)

CAMVID_U_NET = Run(
    data="CamVid, 367 / 101 / 233 images of 480 x 360, 11 classes",
    command="convolve train camvid/ budget=510s",
    measure="mean IoU",
    timed="of the whole training",
    conditions="U-Net on EfficientNet-Lite0 with packaged ImageNet weights, seed 0; the second with budget=38m and "
    "light work beside",
    rungs=(
        Rung(name="unet, 4 epochs", quality=53.8, seconds=548),
        Rung(name="unet, 19 epochs", quality=62.2, seconds=2378),
    ),
)

DENSE_OVER_PATCH_TIMES = 187.0
"""How many times faster `dense` was than `patch` on 128 x 128 pixels of RGB, beside other work; quieter: 212.

The same patch-net of 65 pixels, two cores, `benchmarks/dense_evaluation.py`; logits within 2.9e-6.
"""

DETECTION = Run(
    data="a part of BCCD, 48 / 8 / 12 images of 640 x 480 with blood cells, 3 classes",
    command="convolve ladder detect bccd/ --budget 6m",
    measure="mAP@.5",
    timed="of the network, for one image",
    conditions="EfficientNet-Lite0 with packaged ImageNet weights, about a minute of training each, quiet machine, one "
    "seed, 12 test images: the times mean something, the order of the qualities little",
    rungs=(
        Rung(name="rcnn", quality=33.0, seconds=14.4, proposal_seconds=1.4),
        Rung(name="fast", quality=69.9, seconds=0.242, proposal_seconds=1.4),
        Rung(name="faster", quality=66.5, seconds=0.134, proposal_seconds=0.0084),
        Rung(name="onestage", quality=25.6, seconds=0.107),
    ),
)
BCCD_FASTER = Run(
    data="BCCD, 205 / 87 / 72 images of 640 x 480, 3 classes",
    command="convolve train bccd/ detect=faster budget=10m seed=1",
    measure="mAP@.5",
    conditions="EfficientNet-Lite0 with packaged ImageNet weights, 7 epochs, other work beside; 95 % interval 87.3 to "
    "92.9",
    rungs=(Rung(name="faster", quality=90.0),),
)
