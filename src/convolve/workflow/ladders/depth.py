from convolve.workflow.ladders import LADDERS, Ladder, Rung

_FROM_NOTHING = ("network.weights=none", "start=scratch")


def _of_he_et_al(depth: int, *, shortcuts: bool) -> Rung:
    family = "residual" if shortcuts else "plain"
    return Rung(
        f"{family}-{depth}",
        (
            "network=residual",
            f"network.options.depth={depth}",
            f"network.options.shortcuts={'true' if shortcuts else 'false'}",
            *_FROM_NOTHING,
        ),
        depth=depth,
        family=family,
    )


LADDERS.add(
    "depth",
    Ladder(
        name="depth",
        task="classify",
        about="how deep they are, and whether shortcuts go around their layers",
        rungs=(
            Rung("mlp", ("network=mlp", *_FROM_NOTHING), depth=3),
            Rung("lenet5", ("network=lenet5", *_FROM_NOTHING), depth=5),
            Rung("small-vgg", ("network=small-vgg", *_FROM_NOTHING), depth=8),
            _of_he_et_al(20, shortcuts=False),
            _of_he_et_al(56, shortcuts=False),
            _of_he_et_al(20, shortcuts=True),
            _of_he_et_al(56, shortcuts=True),
        ),
    ),
)
