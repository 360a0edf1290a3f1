"""A finished run, or a weight file, as the beginning of another training: `start=RUN` and `network.weights=RUN`."""

from pathlib import Path
from typing import Any

from convolve.deploy.detection.starting import weights_of_detection
from convolve.deploy.model import weights_of_model
from convolve.deploy.segmentation.starting import weights_of_segmentation
from convolve.errors import UserError
from convolve.networks.catalogue import published_weights
from convolve.networks.pretrained import Weights, find_weights
from convolve.networks.weight_files import SUFFIXES
from convolve.recipe.schema import Recipe
from convolve.run.folder import Run
from convolve.training.starts import STARTS

_NO_FILE = ("auto", "none", "hub")


def with_own_weights(recipe: Recipe) -> tuple[Recipe, dict[str, str]]:
    """The recipe with a run that it starts from spelled out: its model file, and that model's network and options.

    `start=RUN` says `network.weights=RUN` and leaves the start itself to be chosen. Only the backbone matters, so the
    run may have had other classes, or another task.

    Returns:
        The recipe, and why, by dotted key.

    Raises:
        UserError: there is no such run or file, it does not say its network and the recipe neither, or the recipe names
            another network or other options.
    """
    recipe = _start_as_weights(recipe)
    wanted = recipe.network.weights
    if wanted in _NO_FILE:
        return recipe, {}
    file = model_file(wanted)
    facts = weights_of_other_task(file) or weights_of_model(file)
    network = recipe.network.model_copy(update={"weights": str(file)})
    reasons = {}
    if facts is not None:
        network = network.model_copy(update=_same_network(recipe, facts))
        reasons["network.name"] = f"the network of {file}"
    elif network.name == "auto":
        raise UserError(
            f"network.weights={wanted}: the file does not say which network its weights are for",
            "Name it: network=NAME (`convolve zoo` lists them).",
        )
    return recipe.model_copy(update={"network": network}), reasons


def model_file(place: str) -> Path:
    """The weight file that a recipe means by a file's or a run's name.

    Raises:
        UserError: a folder that is no finished run, or nothing of that name.
    """
    path = Path(place)
    if path.is_dir():
        model = Run(path).model
        if not model.is_file():
            raise UserError(
                f"{place}: no finished run: it has no {model.name}", "Name a run that has ended, or a weight file."
            )
        return model
    if not path.is_file():
        raise UserError(
            f"network.weights={place}: there is no such file",
            f"Give auto, none, hub, a finished run, or a {', '.join(SUFFIXES)} file.",
        )
    return path


def weights_of_other_task(file: Path) -> Weights | None:
    """Those of a model for masks or boxes, where the backbone's layers have other names; None if it is neither.

    Raises:
        UserError: it is one, and its description is damaged.
    """
    return weights_of_segmentation(file) or weights_of_detection(file)


def facts_of_file(file: Path, network: str) -> Weights | None:
    """How images are brought to a network with the weights of a file.

    A model of ours says it itself. Of any other file the best guess is what the network's packaged or published weights
    ask for: most files are descendants of these. None where there are none; mean and deviation are then measured.
    """
    own = weights_of_other_task(file) or weights_of_model(file) or find_weights(network)
    if own is not None:
        return own
    try:
        return published_weights(network)
    except UserError:
        return None


def _start_as_weights(recipe: Recipe) -> Recipe:
    start, weights = recipe.start.name, recipe.network.weights
    if start == "auto" or start in STARTS or not (Path(start).exists() or _looks_like_a_place(start)):
        return recipe
    if not Path(start).exists():
        raise UserError(f"start={start}: there is no such run or file", f"Or name a start: {', '.join(STARTS)}.")
    if weights not in ("auto", start):
        raise UserError(
            f"start={start} and network.weights={weights} contradict each other",
            "Leave out network.weights, or name the start itself (start=finetune, start=features).",
        )
    return recipe.model_copy(
        update={
            "start": recipe.start.model_copy(update={"name": "auto"}),
            "network": recipe.network.model_copy(update={"weights": start}),
        }
    )


def _looks_like_a_place(name: str) -> bool:
    return "/" in name or "\\" in name or name.endswith(SUFFIXES)


def _same_network(recipe: Recipe, facts: Weights) -> dict[str, Any]:
    name, options = recipe.network.name, recipe.network.options
    if name not in ("auto", facts.architecture):
        raise UserError(
            f"network={name}: the weights of {facts.name} are for network '{facts.architecture}'",
            "Leave out the network, or start from other weights.",
        )
    for key, value in options.items():
        if key not in facts.options or facts.options[key] != value:
            theirs = facts.options.get(key, "its default")
            raise UserError(
                f"network.options.{key}={value}: the network of {facts.name} has {theirs}",
                "Leave out the network's options, or start from other weights.",
            )
    return {"name": facts.architecture, "options": dict(facts.options)}
