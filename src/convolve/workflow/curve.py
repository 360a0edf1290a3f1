"""`convolve curve`: accuracy against the number of training images, and what more of them would bring."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convolve.data.dataset import class_counts
from convolve.errors import UserError, unknown_name
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.recipe.values import format_duration
from convolve.run.files import write_atomically
from convolve.run.folder import Run
from convolve.see.report.learning_curve import write_curve
from convolve.training.features import outputs_of
from convolve.training.starts import STARTS
from convolve.workflow.budget import keep_to_budget
from convolve.workflow.build import recipe_job, recipe_start
from convolve.workflow.curve_figures import rung_figures
from convolve.workflow.curve_sizes import curve_sizes, first_units, nested_order
from convolve.workflow.data import Member, Opened, Prepared, open_data
from convolve.workflow.plan import plan_data, plan_training
from convolve.workflow.planning import Plan, Say, check_weights, make_or_read_plan, planned_members, recipe_for
from convolve.workflow.results import run_task
from convolve.workflow.study import choose_study

_FEATURE_DRAWS = 3


@dataclass(frozen=True)
class _Rung:
    """What the points of one rung share.

    Attributes:
        recipe: as asked for, with this start.
        chosen: the same with the choices made that do not depend on the number of images.
        plan: for all images.
        prepared: the data.
        all_images: the training on all images.
        sizes: of the points, ascending.
        draws: subsets drawn at each size but the largest.
    """

    name: str
    recipe: Recipe
    chosen: Recipe
    plan: Plan
    prepared: Prepared
    all_images: Member
    sizes: list[int]
    draws: int

    def points(self) -> list[tuple[int, int]]:
        """(draw, size) of all trainings; of all images there is one subset only."""
        small = [(draw, size) for draw in range(self.draws) for size in self.sizes[:-1]]
        return [*small, (0, self.sizes[-1])]


def learning_curve(
    recipe: Recipe, *, rungs: Sequence[str], draws: int | None, out: Path | None, progress: Progress, say: Say
) -> tuple[Run, dict[str, Any]]:
    """Train on more and more of the training images, judging each time on the same test images.

    Args:
        recipe: as for `train`; its budget is for all trainings of the curve together.
        rungs: starts to compare; empty = the recipe's, or frozen features where there are weights.
        draws: subsets at each size; None = 3 for features, 1 for starts that train a network each time.
        out: the study's folder; None = the next free one below runs/curve/.
        progress: told how far it is.
        say: told what was chosen and why.

    Returns:
        The folder, and everything measured, plain JSON values.

    Raises:
        UserError: the input cannot be used; points that are done are kept.
    """
    if recipe.folds not in ("auto", 0) or recipe.seeds != 1:
        raise UserError(
            "folds and seeds do not go with a learning curve: every point is judged on the same test images",
            "Leave them out; --draws says how often each size is drawn.",
        )
    for name in rungs:
        if name not in STARTS:
            raise unknown_name("rung", name, STARTS)
    recipe = recipe.model_copy(update={"folds": 0})
    opened = open_data(recipe.data, progress, recipe.masks, recipe.task)
    if opened.dataset.has_masks:
        raise UserError(
            f"{recipe.data.path}: a learning curve of masks is not there yet",
            "Train on fewer images by hand; `convolve ladder segment` compares ways on all of them.",
        )
    if opened.dataset.has_boxes:
        raise UserError(
            f"{recipe.data.path}: a learning curve of boxes is not there yet",
            "Train on fewer images by hand; `convolve ladder detect` compares ways on all of them.",
        )
    opened = _with_test_split(opened, say)
    resolved = recipe_for(opened, recipe).recipe.start.name
    names = list(dict.fromkeys(rungs)) or [_usual_rung(recipe, resolved)]
    request = {"recipe": json.loads(recipe.model_dump_json()), "rungs": names, "draws": draws}
    study = choose_study("curve", opened.dataset.name, request, out)
    with study.locked():
        kept = study.read("curve")
        if kept is not None:
            say(f"{study.folder}: this curve is finished already")
            return study, kept
        trained = [name for name in names if name != "features"]
        curves = []
        for name in names:
            start = recipe.start if name == resolved else recipe.start.model_copy(update={"name": name, "options": {}})
            with_start = recipe.model_copy(update={"start": start})
            rung = _plan_rung(study, name, with_start, opened, draws, progress, say)
            curves.append((rung, _measure(study, rung, len(trained), progress, say)))
        results = _results(study, opened, curves)
        for kind, content in write_curve(study.folder / "curve.html", results).items():
            write_atomically(study.folder / f"curve.{kind}", content)
        # Last of all: a study with figures is whole.
        study.write("curve", results)
    return study, results


def _with_test_split(opened: Opened, say: Say) -> Opened:
    given = opened.dataset.given_splits
    if not given or "test" in given or given == {"train"}:
        return opened
    say("the data has no test split: its other splits are put aside, and a test split is drawn by the seed")
    free = tuple(replace(sample, split=None) for sample in opened.dataset.samples)
    return replace(opened, dataset=replace(opened.dataset, samples=free))


def _usual_rung(recipe: Recipe, resolved: str) -> str:
    if recipe.start.name != "auto" or resolved == "scratch":
        return resolved
    return "features"


def _plan_rung(
    study: Run, name: str, recipe: Recipe, opened: Opened, draws: int | None, progress: Progress, say: Say
) -> _Rung:
    chosen = plan_data(recipe, opened.dataset, opened.survey)[0].recipe
    plan, prepared = make_or_read_plan(Run(study.member(name)), recipe, opened, progress, say)
    [own] = planned_members(plan, prepared)
    if len(own.held_out) == 0:
        raise UserError(
            f"{opened.dataset.name}: no images are kept for testing", "Raise data.test, for example to 0.2."
        )
    sizes = curve_sizes(len(own.train) + len(own.validation), len(opened.dataset.classes))
    often = draws or (_FEATURE_DRAWS if name == "features" else 1)
    return _Rung(name, recipe, chosen, plan, prepared, own, sizes, often)


def _measure(study: Run, rung: _Rung, sharing: int, progress: Progress, say: Say) -> list[dict[str, Any]]:
    """Train and judge every point that is not there yet; each is kept as soon as it is done."""
    path = study.member(rung.name) / "points.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    finished = {(point["draw"], point["size"]) for point in done}
    todo = [point for point in rung.points() if point not in finished]
    planned = _plan_points(study, rung, todo, sharing, progress)
    if rung.name != "features" and todo:
        say(_forecast(rung, [seconds for _, seconds in planned.values()]))
    total = sum(size for _, size in todo)
    for number, (draw, size) in enumerate(todo):
        progress(f"{rung.name}, training images", sum(s for _, s in todo[:number]), total)
        done.append(_judge_point(study, rung, draw, size, planned[draw, size][0], progress))
        write_atomically(path, "".join(json.dumps(point) + "\n" for point in done))
    progress(f"{rung.name}, training images", total, total)
    return sorted(done, key=lambda point: (point["images"], point["draw"]))


def _plan_points(
    study: Run, rung: _Rung, points: list[tuple[int, int]], sharing: int, progress: Progress
) -> dict[tuple[int, int], tuple[Recipe, float]]:
    """The recipe of each point and its forecast seconds, kept: measured again, they would not fit a checkpoint."""
    run = Run(study.member(rung.name))
    kept: dict[str, Any] = run.read("planned") or {}
    for draw, size in points:
        if f"{draw}-{size}" not in kept:
            recipe, seconds = _sized_recipe(run, rung, draw, size, sharing, progress)
            kept[f"{draw}-{size}"] = {"recipe": json.loads(recipe.model_dump_json()), "seconds": seconds}
    run.write("planned", kept)
    found = {point: kept[f"{point[0]}-{point[1]}"] for point in points}
    return {point: (Recipe.model_validate(one["recipe"]), one["seconds"]) for point, one in found.items()}


def _sized_recipe(
    run: Run, rung: _Rung, draw: int, size: int, sharing: int, progress: Progress
) -> tuple[Recipe, float]:
    """The plan for fewer images: what `train` would choose for them, within the point's part of the budget."""
    member, plan = _subset(rung, draw, size), rung.plan
    recipe = plan_training(rung.chosen, rung.prepared.dataset, member.train, plan.preprocessing).recipe
    if rung.name == "features":
        return recipe, 0.0
    if recipe.budget != "none":
        sizes = [other for _, other in rung.points()]
        # Pre-training takes as long whether few of its images have labels or many.
        part = 1 / len(sizes) if rung.name == "unsupervised" else size / sum(sizes)
        recipe = recipe.model_copy(update={"budget": recipe.budget * part / sharing})
    compute = plan.calibration.chosen
    job = recipe_job(recipe, rung.prepared, plan.preprocessing, member, compute, run.folder, progress)
    choices, seconds = keep_to_budget(recipe, job, plan.calibration, trainings=1)
    return choices.recipe, seconds


def _forecast(rung: _Rung, seconds: Sequence[float]) -> str:
    return (
        f"forecast: {rung.name} trains a network for each of {len(seconds)} points, together about "
        f"{format_duration(sum(seconds))} (the budget is for all of them)"
    )


def _subset(rung: _Rung, draw: int, size: int) -> Member:
    """The training on a part of the images; the others may still be looked at without their labels."""
    own, prepared = rung.all_images, rung.prepared
    rows = np.sort(np.concatenate([own.train, own.validation]))
    if size >= len(rows):
        return own
    samples = [prepared.dataset.samples[row] for row in rows]
    splits = np.where(np.isin(rows, own.train), "train", "validation").tolist()
    hashes = [prepared.hashes[row] for row in rows]
    order = nested_order(samples, splits, hashes, seed=own.seed, draw=draw)
    # Of at least two units, so that one can be for choosing.
    chosen = rows[first_units(order, max(size, len(order[0]) + 1))]
    train, validation = np.intersect1d(chosen, own.train), np.intersect1d(chosen, own.validation)
    if len(validation) == 0:
        # Where so few were drawn that none is for choosing, one of them has to be, with its group.
        last = next(rows[unit] for unit in reversed(order) if rows[unit[0]] in chosen)
        validation, train = np.intersect1d(train, last), np.setdiff1d(train, last)
    unlabelled = np.union1d(own.unlabelled, np.setdiff1d(rows, chosen))
    return replace(own, seed=own.seed + draw, train=train, validation=validation, unlabelled=unlabelled)


def _judge_point(study: Run, rung: _Rung, draw: int, size: int, recipe: Recipe, progress: Progress) -> dict[str, Any]:
    member = _subset(rung, draw, size)
    folder = study.member(rung.name) / f"draw-{draw}-images-{size}"
    folder.mkdir(exist_ok=True)
    plan, prepared = rung.plan, rung.prepared
    job = recipe_job(recipe, prepared, plan.preprocessing, member, plan.calibration.chosen, folder, progress)
    check_weights(Run(study.member(rung.name)), plan, job.loaded)
    trained = recipe_start(recipe).train(job)
    outputs = outputs_of(trained, job, member.held_out)
    task = run_task(plan, prepared)
    samples = [prepared.dataset.samples[row] for row in member.held_out]
    targets = task.pack_targets(samples)
    results = task.results(outputs, targets, temperature=trained.temperature)
    fared = task.image_results(task.probabilities(outputs, temperature=trained.temperature), targets)
    # The checkpoints have done their work.
    shutil.rmtree(folder)
    return {
        "draw": draw,
        "size": size,
        "images": len(member.train) + len(member.validation),
        "accuracy": results["accuracy"],
        "seconds": trained.seconds,
        "right": "".join(str(int(one.right)) for one in fared),
        "recalls": [row["recall"] for row in results["per_class"]],
    }


def _results(study: Run, opened: Opened, curves: list[tuple[_Rung, list[dict[str, Any]]]]) -> dict[str, Any]:
    first, dataset = curves[0][0], opened.dataset
    own = first.all_images
    rows = np.concatenate([own.train, own.validation])
    groups = [dataset.samples[row].group for row in own.held_out]
    counts = class_counts((dataset.samples[row] for row in rows), len(dataset.classes))
    tested = class_counts((dataset.samples[row] for row in own.held_out), len(dataset.classes))
    rungs = [
        rung_figures(
            rung.name, points, classes=dataset.classes, train=counts, tested=tested, groups=groups, seed=own.seed
        )
        for rung, points in curves
    ]
    return {
        "data": dataset.name,
        "network": first.plan.recipe.network.name,
        "training_images": len(rows),
        "test_images": len(own.held_out),
        "groups": len({group for group in groups if group is not None}) or None,
        "classes": list(dataset.classes),
        "seed": own.seed,
        "budget": first.plan.recipe.budget,
        "rungs": rungs,
        "folder": str(study.folder),
    }
