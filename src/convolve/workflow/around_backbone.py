"""What recipes for masks and for boxes have in common: a network that is new around a backbone, images of any size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from convolve.data.batch import Batch
from convolve.data.dataset import Dataset
from convolve.data.survey import Survey
from convolve.errors import UserError
from convolve.networks.pretrained import Weights
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.recipe.values import format_duration
from convolve.registry import checked_options
from convolve.training.calibrate import Calibration, calibrate, candidates
from convolve.training.compute import choose_device
from convolve.training.optimisers import OPTIMISERS, parameter_groups
from convolve.training.starts import MakeOptimiser
from convolve.training.task import Objective
from convolve.training.tuning import Tuning, tuning
from convolve.workflow.budget import keep_budget
from convolve.workflow.own_weights import with_own_weights
from convolve.workflow.plan import Choices, changed, choose_recipe_network, choose_recipe_weights, plan_splits
from convolve.workflow.planning import Say, say_reasons

_ADAMW_LR = 1e-3
_SECONDS_A_WAY = 2.0


def choose_split(
    recipe: Recipe, dataset: Dataset, *, what: str, refused: Mapping[str, str]
) -> tuple[Recipe, dict[str, str]]:
    """Choose the shares of the splits; training takes long, so there is cross-validation only on demand.

    Args:
        recipe: with keys of the data yet to be chosen.
        dataset: its given splits stay.
        what: "masks" or "boxes", for messages.
        refused: keys of the data's section that have no meaning here, and what to do instead.

    Raises:
        UserError: such a key is set, or one fold.
    """
    for key, instead in refused.items():
        if getattr(recipe.data, key) not in ("auto", 0):
            raise UserError(f"data.{key} is for images with one answer each, not for {what}", instead)
    if recipe.folds == "auto":
        recipe = recipe.model_copy(update={"folds": 0})
    return plan_splits(recipe, dataset)


def choose_network(recipe: Recipe, seen: Survey, images: int, *, what: str) -> tuple[Choices, Weights | None]:
    """Choose the network, its weights and where training begins.

    Args:
        recipe: with its rung chosen.
        seen: sizes and channels of the images.
        images: how many there are.
        what: "masks" or "boxes", for messages.

    Raises:
        UserError: a part is unknown, or has no meaning here.
    """
    recipe, reasons = with_own_weights(recipe)
    name, weights, why = choose_recipe_network(recipe, seen, images)
    source, weights = choose_recipe_weights(recipe, name, weights)
    start, reason = choose_start(recipe, network=name, weights=source, what=what)
    told = {"network.name": why, "start.name": reason}
    recipe = changed(changed(recipe, "network", name=name, weights=source), "start", name=start)
    return Choices(recipe, reasons | {key: words for key, words in told.items() if words}), weights


def refuse_sections(recipe: Recipe, sections: Sequence[str], *, what: str) -> None:
    """See that no key is set in sections that would do nothing.

    Raises:
        UserError: one is.
    """
    for name in sections:
        section = getattr(recipe, name)
        changed = [key for key in type(section).model_fields if getattr(section, key) != getattr(type(section)(), key)]
        if changed:
            raise UserError(f"{name}.{changed[0]} has no meaning for images with {what}", "Leave it out.")


def choose_start(recipe: Recipe, *, network: str, weights: str, what: str) -> tuple[str, str]:
    """Choose where training begins, and say why if there was a choice.

    Args:
        recipe: whose start may be "auto".
        network: chosen.
        weights: what `network.weights` came to.
        what: "masks" or "boxes", for messages.

    Raises:
        UserError: there is no such start here, or no weights for it.
    """
    wanted = recipe.start.name
    if wanted == "auto":
        none = weights == "none"
        return ("scratch", "there are no pre-trained weights for this network") if none else ("finetune", "")
    if wanted == "unsupervised":
        raise UserError(
            f"start=unsupervised: for {what} it is a step of its own",
            "convolve pretrain DATA --out PRETRAINED, then: convolve train DATA start=PRETRAINED",
        )
    if wanted not in ("scratch", "finetune", "features"):
        raise UserError(f"start={wanted}: unknown", f"Known for {what}: scratch, finetune, features, a finished run.")
    if wanted != "scratch" and weights == "none":
        raise UserError(
            f"start={wanted}: there are no pre-trained weights for network '{network}'",
            'Install some (pip install "convolve[weights]"), name a file (network.weights=FILE), or start=scratch.',
        )
    return wanted, ""


def chosen_optimiser(recipe: Recipe) -> dict[str, Any]:
    """The optimiser's name, learning rate and penalty."""
    wanted = recipe.optimiser
    name = "adamw" if wanted.name == "auto" else wanted.name
    kind = OPTIMISERS[name]
    usual = _ADAMW_LR if name == "adamw" else kind.lr / 4
    return {
        "name": name,
        "lr": usual if wanted.lr == "auto" else wanted.lr,
        "weight_decay": kind.weight_decay if wanted.weight_decay == "auto" else wanted.weight_decay,
    }


def optimiser_maker(recipe: Recipe) -> MakeOptimiser:
    """What makes the optimiser of a resolved recipe, over the trained parameters of a module."""
    decay, lr = recipe.optimiser.weight_decay, recipe.optimiser.lr
    assert decay != "auto"  # noqa: S101
    assert lr != "auto"  # noqa: S101

    def make_optimiser(trained: nn.Module, lr_factors: Sequence[tuple[nn.Module, float]] = ()) -> Optimizer:
        kind = OPTIMISERS[recipe.optimiser.name]
        options = checked_options(kind.build, recipe.optimiser.options, where="optimiser.options")
        return kind.build(parameter_groups(trained, decay, lr_factors), lr, **options)

    return make_optimiser


def recipe_tuning(recipe: Recipe) -> Tuning | None:
    """How pre-trained layers go on; None where all weights are new."""
    how = tuning(**checked_options(tuning, recipe.start.options, where="start.options"))
    if recipe.start.name == "features":
        how = replace(how, stages=0)
    return None if recipe.start.name == "scratch" else how


def within_budget(recipe: Recipe, seconds: Callable[[int], float], *, images: int, trainings: int, say: Say) -> Choices:
    """Choose the epochs that the budget leaves time for, and tell how long they take.

    Args:
        recipe: whose epochs are chosen.
        seconds: of one training of so many epochs.
        images: that train.
        trainings: that share the budget.
        say: told.
    """
    choices = keep_budget(recipe, seconds=seconds, trainings=trainings)
    epochs = int(choices.recipe.train.epochs)
    say_reasons(choices.recipe, choices.reasons, say)
    say(f"forecast: {epochs} epochs of {images} images take about {format_duration(seconds(epochs) * trainings)}")
    return choices


def calibrated(
    recipe: Recipe,
    trained: nn.Module,
    objective: Objective,
    batch: Batch,
    normalise: Callable[[Tensor], Tensor],
    progress: Progress,
) -> Calibration:
    """Measure on a batch which way of computing is fastest; nothing is compiled but on demand."""
    settings = recipe.compute
    ways = candidates(
        choose_device(settings.device),
        memory_format=settings.memory_format,
        precision=settings.precision,
        compile_network="off" if settings.compile == "auto" else settings.compile,
    )
    return calibrate(
        trained,
        objective,
        normalise(batch.images),
        batch.targets,
        ways,
        trained=True,
        seconds=_SECONDS_A_WAY,
        progress=progress,
        extras=batch.extras,
    )
