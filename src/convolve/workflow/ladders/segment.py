from convolve.networks.score_maps import SCORE_MAPS
from convolve.workflow.ladders import LADDERS, Ladder, Rung

_ORDER = ("patch", "dense", "fcn-32s", "fcn-16s", "fcn-8s", "unet")
_SAME_WEIGHTS = {"dense": "patch"}

LADDERS.add(
    "segment",
    Ladder(
        name="segment",
        task="segment",
        about="how scores become a map",
        section="segment",
        rungs=tuple(
            Rung(name, (f"segment={name}",), weights_of=_SAME_WEIGHTS.get(name, ""))
            for name in [
                *(name for name in _ORDER if name in SCORE_MAPS),
                *(name for name in SCORE_MAPS if name not in _ORDER),
            ]
        ),
    ),
)
