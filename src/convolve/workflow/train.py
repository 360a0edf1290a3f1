"""`convolve train`: from a recipe to a run with a model, figures and a report."""

import csv
import io
import json
from pathlib import Path

from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.files import write_atomically
from convolve.run.folder import Run, choose_run
from convolve.workflow.data import Divided, Member, Opened, open_data
from convolve.workflow.planning import Say, planned_members
from convolve.workflow.results import TrainingFacts, own_model
from convolve.workflow.work import work_of


def train(recipe: Recipe, *, out: Path | None, progress: Progress, say: Say) -> Run:
    """Train what a recipe describes, or go on where the same training stopped.

    Args:
        recipe: keys that are "auto" are chosen, and the choice is told.
        out: the run's folder; None = the next free one below runs/.
        progress: told how far it is.
        say: told what was chosen and why.

    Raises:
        UserError: the input cannot be used; nothing that was there before is lost.
    """
    return train_opened(
        recipe, open_data(recipe.data, progress, recipe.masks, recipe.task), out=out, progress=progress, say=say
    )


def train_opened(
    recipe: Recipe, opened: Opened, *, out: Path | None, progress: Progress, say: Say, weights_of: Run | None = None
) -> Run:
    """Train on data that is open already, wherever it came from; `data.path` of the recipe is but its name.

    Args:
        recipe: as for `train`.
        opened: the data.
        out: as for `train`.
        progress: as for `train`.
        say: as for `train`.
        weights_of: a finished run of the same layers, whose weights are used instead of training.

    Raises:
        UserError: as for `train`.
    """
    work = work_of(opened.dataset, recipe.task)
    run = choose_run(f"{work.task}/{opened.dataset.name}", json.loads(recipe.model_dump_json()), out)
    with run.locked():
        if run.read("results") is not None:
            say(f"{run.folder}: this training is finished already")
            return run
        plan, prepared = work.make_or_read_plan(run, recipe, opened, progress, say)
        trainings = planned_members(plan, prepared)
        if weights_of is not None:
            work.share_weights(weights_of, run, plan)
        _write_split(run, prepared, trainings)
        held_out = [work.train_member(run, plan, prepared, member, progress, say) for member in trainings]
        results = work.evaluate(plan, prepared, held_out)
        _keep_best_seed(run, own_model(held_out, work.score_name))
        work.report(run, plan, prepared, held_out, results)
        # Last of all: a run with results is whole.
        run.write("results", results)
    return run


def _keep_best_seed(run: Run, best: TrainingFacts) -> None:
    """Of several seeds, the run's own model is the one that did best on validation images."""
    if best.member.name:
        write_atomically(run.model, (run.folder / best.member.name / "model.safetensors").read_bytes())


def _write_split(run: Run, prepared: Divided, trainings: list[Member]) -> None:
    """The split of every image, for people and other tools; "unlabelled" if its label was used by no training."""
    labelled = {row for one in trainings for rows in (one.train, one.validation, one.held_out) for row in rows.tolist()}
    splits = [
        "unlabelled" if usable and row not in labelled else split
        for row, (split, usable) in enumerate(zip(prepared.splits, prepared.usable, strict=True))
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "split", "hash"])
    for sample, split, digest, usable in zip(
        prepared.dataset.samples, splits, prepared.hashes, prepared.usable, strict=True
    ):
        writer.writerow([sample.name, split if usable else "broken", digest])
    write_atomically(run.split, text.getvalue())
