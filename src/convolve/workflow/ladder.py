"""`convolve ladder`: the rungs of a ladder trained under one budget on the same splits, and what each one buys."""

import gc
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from convolve.deploy.model import load_model
from convolve.errors import UserError, unknown_name
from convolve.networks.cost import cost_of
from convolve.progress import Progress
from convolve.recipe.file import make_recipe
from convolve.recipe.schema import Recipe
from convolve.recipe.values import format_duration, override
from convolve.run.folder import Run
from convolve.run.history import read_history
from convolve.workflow.comparison import compare_runs
from convolve.workflow.data import Opened, open_data
from convolve.workflow.ladders import LADDERS, Ladder, Rung
from convolve.workflow.memory import watched_memory
from convolve.workflow.planning import Say
from convolve.workflow.study import choose_study
from convolve.workflow.train import train_opened
from convolve.workflow.work import Work, work_of

_LEVEL = 0.05
_TARGETS = {"classify": "classes", "segment": "masks", "detect": "boxes"}
RUNG_FIGURES = {
    "classify": ("accuracy", "accuracy_ci95", "balanced_accuracy"),
    "segment": ("mean_iou", "mean_iou_ci95", "pixel_accuracy", "mean_accuracy"),
    "detect": ("map50", "map50_ci95", "map", "proposal_recall", "ms_by_stage"),
}
"""What a ladder's table says of a rung besides time and memory, by task."""
# What planning and judging take is not in a training's budget, so that the whole keeps to the ladder's.
_FOR_TRAINING = 0.9
_LEAST_SECONDS = 1.0


def climb(
    name: str, recipe: Recipe, *, rungs: Sequence[str], out: Path | None, progress: Progress, say: Say
) -> tuple[Run, dict[str, Any]]:
    """Train every rung of a ladder, or go on where the same command stopped.

    Args:
        name: of the ladder.
        recipe: as for `train`; its budget is for all rungs together.
        rungs: some of the ladder's; empty = all that can run here.
        out: the study's folder; each rung is a run in it. None = the next free one below runs/ladder/.
        progress: told how far it is.
        say: told what was chosen and why.

    Returns:
        The folder, and the comparison, plain JSON values.

    Raises:
        UserError: the input cannot be used, or no rung can run; finished rungs are kept.
    """
    ladder = LADDERS[name]
    chosen = _chosen_rungs(ladder, recipe, rungs)
    opened = open_data(recipe.data, progress, recipe.masks, recipe.task)
    work = _work_for(ladder, opened)
    _check_tested(recipe, opened)
    recipes, skipped = _runnable(chosen, recipe, opened, work, asked=bool(rungs))
    request = {"ladder": name, "recipe": json.loads(recipe.model_dump_json()), "rungs": [one.name for one in chosen]}
    study = choose_study("ladder", f"{name}/{opened.dataset.name}", request, out)
    with study.locked():
        kept = study.read("ladder")
        if kept is not None:
            say(f"{study.folder}: this ladder is finished already")
            return study, kept
        for left_out, reason in skipped.items():
            say(f"left out: {left_out}: {reason}")
        _say_budget(recipe, chosen, recipes, say)
        measured = _decode(study, recipes.values(), opened, work, progress)
        order = sorted((one for one in chosen if one.name in recipes), key=lambda one: not one.quick)
        for number, rung in enumerate(order):
            try:
                _train_rung(study, rung, recipes[rung.name], opened, measured, len(order) - number, progress, say)
            except UserError as error:
                # What has a plan was begun: mended, the same command goes on with it.
                begun = Run(study.folder / rung.name).read("plan") is not None
                if rungs or begun or len(skipped) + 1 == len(chosen):
                    raise
                skipped[rung.name] = error.problem
                say(f"left out: {rung.name}: {error.problem}")
        results = _results(study, ladder, chosen, measured, skipped, opened)
        work.write_ladder(study, results, opened)
        # Last of all: a study with figures is whole.
        study.write("ladder", results)
    return study, results


def _chosen_rungs(ladder: Ladder, recipe: Recipe, names: Sequence[str]) -> list[Rung]:
    for name, keys in ladder.keys.items():
        section = getattr(recipe, name)
        untouched = type(section)()
        for key in sorted(keys):
            if getattr(section, key) != getattr(untouched, key):
                raise UserError(
                    f"{name if key == 'name' else f'{name}.{key}'}: the ladder '{ladder.name}' sets it itself, rung by "
                    "rung",
                    "Leave it out; --rungs chooses some of the rungs.",
                )
    if recipe.task not in ("auto", ladder.task):
        raise UserError(f"task={recipe.task}: the ladder '{ladder.name}' is of task={ladder.task}", "Leave it out.")
    known = [rung.name for rung in ladder.rungs]
    for name in names:
        if name not in known:
            raise unknown_name("rung", name, known)
    return [rung for rung in ladder.rungs if not names or rung.name in names]


def _work_for(ladder: Ladder, opened: Opened) -> Work[Any, Any, Any]:
    work = work_of(opened.dataset, "auto")
    if work.task != ladder.task:
        fitting = " or ".join(name for name in LADDERS if LADDERS[name].task == work.task)
        raise UserError(
            f"the ladder '{ladder.name}' is for images with {_TARGETS[ladder.task]}; {opened.dataset.name} has "
            f"{_TARGETS[work.task]}",
            f"For those there is: convolve ladder {fitting}",
        )
    return work


def _check_tested(recipe: Recipe, opened: Opened) -> None:
    """Before every rung is trained, not after it."""
    given = any(sample.split == "test" for sample in opened.dataset.samples)
    if recipe.folds == 0 and not recipe.data.test and not recipe.data.test_groups and not given:
        raise UserError("data.test=0: without test images there is nothing to compare rungs by", "Give folds=5.")


def _runnable(
    rungs: Sequence[Rung], recipe: Recipe, opened: Opened, work: Work[Any, Any, Any], *, asked: bool
) -> tuple[dict[str, Recipe], dict[str, str]]:
    """The recipe of each rung, and for those that cannot run here, why."""
    recipes: dict[str, Recipe] = {}
    skipped: dict[str, str] = {}
    for rung in rungs:
        table = json.loads(recipe.model_dump_json())
        try:
            changed = make_recipe(override(table, rung.settings))
            work.check(changed, opened)
        except UserError as error:
            # A rung that was asked for by name is missed; and what stops all of them is a mistake in the input.
            if asked or len(skipped) + 1 == len(rungs):
                raise
            skipped[rung.name] = error.problem
        else:
            recipes[rung.name] = changed
    return recipes, skipped


def _say_budget(recipe: Recipe, rungs: Sequence[Rung], recipes: dict[str, Recipe], say: Say) -> None:
    names = [rung.name for rung in rungs if rung.name in recipes]
    quick = [rung.name for rung in rungs if rung.quick and rung.name in recipes]
    if recipe.budget == "none":
        say(f"rungs: {', '.join(names)}; no limit of time")
        return
    first = f"; {', '.join(quick)} first, which needs little" if quick else ""
    shared = "; what is left is shared equally by those that are left" if len(names) > 1 else ""
    count = f"{len(names)} rung{'s' * (len(names) > 1)}"
    say(f"budget: {format_duration(recipe.budget)} for {count} ({', '.join(names)}){first}{shared}")


def _decode(
    study: Run, recipes: Iterable[Recipe], opened: Opened, work: Work[Any, Any, Any], progress: Progress
) -> dict[str, Any]:
    """Decode the images beforehand, so that the first rung does not pay for all."""
    measured: dict[str, Any] = study.read("measured") or {"decoding_seconds": 0.0, "rungs": {}}
    started = time.monotonic()
    # What is decoded for one rung is found in the cache by the next, unless that sees the images otherwise.
    for recipe in recipes:
        work.decode(recipe, opened, progress)
    measured["decoding_seconds"] += time.monotonic() - started
    study.write("measured", measured)
    return measured


def _train_rung(
    study: Run,
    rung: Rung,
    recipe: Recipe,
    opened: Opened,
    measured: dict[str, Any],
    left: int,
    progress: Progress,
    say: Say,
) -> None:
    folder = study.folder / rung.name
    if Run(folder).read("results") is not None:
        say(f"{rung.name}: finished already")
        return
    begun = Run(folder).read("request")
    budget = recipe.budget if begun is None else begun["budget"]
    if begun is None and budget != "none":
        spent = measured["decoding_seconds"] + sum(one["seconds"] for one in measured["rungs"].values())
        if spent >= budget:
            say(f"\nthe budget of {format_duration(budget)} is spent: {rung.name} gets the least that trains it")
        budget = round(max(_LEAST_SECONDS, (budget - spent) / left * _FOR_TRAINING), 1)
    limit = "no limit of time" if budget == "none" else f"up to {format_duration(budget)} of training"
    say(f"\n{rung.name}: {limit}")
    before = measured["rungs"].get(rung.name, {"seconds": 0.0, "peak_bytes": 0})
    gc.collect()
    started = time.monotonic()
    with watched_memory() as memory:
        try:
            source = Run(study.folder / rung.weights_of) if rung.weights_of else None
            train_opened(
                recipe.model_copy(update={"budget": budget}),
                opened,
                out=folder,
                weights_of=source if source and source.read("results") else None,
                progress=progress,
                say=say,
            )
        finally:
            # Those of an interrupted session count as well.
            measured["rungs"][rung.name] = {
                "seconds": before["seconds"] + time.monotonic() - started,
                "peak_bytes": max(before["peak_bytes"], memory.peak),
                "before_bytes": memory.before,
            }
            study.write("measured", measured)


def _results(
    study: Run,
    ladder: Ladder,
    rungs: Sequence[Rung],
    measured: dict[str, Any],
    skipped: dict[str, str],
    opened: Opened,
) -> dict[str, Any]:
    finished = [rung.name for rung in rungs if rung.name not in skipped]
    runs = [Run(study.folder / name) for name in finished]
    rows = [_row(run, name, measured["rungs"]) for run, name in zip(runs, finished, strict=True)]
    of_networks = "network" in ladder.keys
    if of_networks:
        told = {rung.name: rung for rung in rungs}
        for row, run in zip(rows, runs, strict=True):
            row |= _network_figures(run, told[row["rung"]])
    tests = compare_runs(runs)["tests"] if len(runs) > 1 else []
    names = {str(run.folder): name for run, name in zip(runs, finished, strict=True)}
    return {
        "ladder": ladder.name,
        "task": ladder.task,
        "about": ladder.about,
        "data": opened.dataset.name,
        "network": "" if of_networks else runs[0].read("results")["network"],
        "judged": rows[0]["split"],
        "images": rows[0]["n"],
        "decoding_seconds": measured["decoding_seconds"],
        "rungs": rows,
        "left_out": [{"rung": name, "reason": reason} for name, reason in skipped.items()],
        "comparisons": corrected_tests(tests, names),
        "folder": str(study.folder),
    }


def _row(run: Run, name: str, measured: dict[str, Any]) -> dict[str, Any]:
    results = run.read("results")
    judged = results.get("test") or results.get("out_of_fold")
    if judged is None:
        raise UserError(f"{run.folder}: it has no test images, so nothing to compare", "Give folds=5.")
    # A kill between a run's results and this file leaves none: the training's own time is known, its memory is not.
    memory = measured.get(name, {"seconds": results["seconds"], "peak_bytes": None})
    return {
        "rung": name,
        "split": judged["split"],
        "n": judged["n"],
        **{name: judged[name] for name in RUNG_FIGURES[results["task"]]},
        "prediction_seconds": results.get("prediction_seconds"),
        "seconds": memory["seconds"],
        "trained_parameters": results["trained_parameters"],
        "peak_bytes": memory["peak_bytes"],
        "before_bytes": memory.get("before_bytes"),
        "report": f"{name}/report.html",
    }


def _network_figures(run: Run, rung: Rung) -> dict[str, Any]:
    """What a rung's row says besides where the rungs are different networks."""
    model = load_model(run.model)
    preprocessing = model.preprocessing
    cost = cost_of(model.network, channels=preprocessing.channels, image_hw=preprocessing.image_hw)
    history = read_history(run.folder)
    return {
        "depth": rung.depth,
        "family": rung.family,
        "parameters": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "epochs": run.read("results")["epochs"],
        "image_hw": list(preprocessing.image_hw),
        # Of a run of several seeds, each member has a history of its own.
        "train_loss": history[-1]["train_loss"] if history else None,
    }


def corrected_tests(tests: Sequence[dict[str, Any]], names: dict[str, str]) -> list[dict[str, Any]]:
    """Paired tests with Holm's correction: of many pairs of equals, one would look different by chance.

    Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    ordered = sorted(tests, key=lambda test: test["p_value"])
    corrected, largest = [], 0.0
    for number, test in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - number) * test["p_value"]))
        first, second = (names[folder] for folder in test["runs"])
        # Images that one of the two got right alone, or on which it fares better.
        counted = "right_only_in" if "right_only_in" in test else "better_in"
        by_first, by_second = test[counted]
        ahead = test.get("rank_sum", by_first - by_second)
        better, worse = (first, second) if ahead >= 0 else (second, first)
        real = largest < _LEVEL
        verdict = (
            f"{better} is better than {worse} by more than chance"
            if real
            else f"{first} and {second} are not distinguishable"
        )
        told = f"{by_first} right only by {first}, {by_second} only by {second}"
        if counted == "better_in":
            told = f"a higher {test['figure']} on {by_first} by {first}, on {by_second} by {second}"
        corrected.append(
            {
                "rungs": [first, second],
                "n": test["n"],
                counted: [by_first, by_second],
                "p_value": largest,
                "more_than_chance": real,
                "better": better if real else None,
                "words": f"{verdict} on {test['n']:,} {test.get('units', 'images')}: {told} (p = {largest:.2g})",
            }
        )
    return corrected
