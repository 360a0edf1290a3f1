from convolve.networks.detectors import DETECTORS
from convolve.workflow.ladders import LADDERS, Ladder, Rung

_ORDER = ("rcnn", "fast", "faster", "onestage")

LADDERS.add(
    "detect",
    Ladder(
        name="detect",
        task="detect",
        about="how objects are found",
        rungs=tuple(
            # Testing R-CNN takes longer than all else; it comes last, and takes no other rung's time.
            Rung(name, (f"detect={name}",), quick=name != "rcnn")
            for name in [*(name for name in _ORDER if name in DETECTORS), *(n for n in DETECTORS if n not in _ORDER)]
        ),
    ),
)
