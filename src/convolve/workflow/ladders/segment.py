from convolve.networks.score_maps import SCORE_MAPS
from convolve.workflow.ladders import LADDERS, Ladder, Rung

_ORDER = ("patch", "dense", "fcn-32s", "fcn-16s", "fcn-8s", "unet")
_SAME_WEIGHTS = {"dense": "patch"}
# Every pixel by itself would take hours for a few images; what it would take is 64 times as long, and known.
_OPTIONS = {"patch": ("segment.options.step=8",)}

LADDERS.add(
    "segment",
    Ladder(
        name="segment",
        task="segment",
        about="how scores become a map",
        rungs=tuple(
            Rung(
                name,
                (f"segment={name}", *_OPTIONS.get(name, ())),
                # Testing patch by patch takes longer than all else; it comes last, and takes no other rung's time.
                quick=SCORE_MAPS[name].trained_on == "crops",
                weights_of=_SAME_WEIGHTS.get(name, ""),
            )
            for name in [
                *(name for name in _ORDER if name in SCORE_MAPS),
                *(name for name in SCORE_MAPS if name not in _ORDER),
            ]
        ),
    ),
)
