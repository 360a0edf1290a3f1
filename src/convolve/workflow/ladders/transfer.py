from convolve.training.starts import STARTS
from convolve.workflow.ladders import LADDERS, Ladder, Rung

_ORDER = ("scratch", "unsupervised", "finetune", "features")

LADDERS.add(
    "transfer",
    Ladder(
        name="transfer",
        task="classify",
        about="where the weights start from, and which of them are trained",
        rungs=tuple(
            Rung(name, (f"start={name}",), quick=name == "features")
            for name in [*(name for name in _ORDER if name in STARTS), *(name for name in STARTS if name not in _ORDER)]
        ),
    ),
)
