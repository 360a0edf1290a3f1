"""`convolve train`: from a recipe to a run with a model, figures and a report."""

import csv
import io
import json
from pathlib import Path

import torch

from convolve.deploy.model import Model, describe_network
from convolve.errors import UserError
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.files import write_atomically
from convolve.run.folder import Run, choose_run
from convolve.run.tensors import read_tensors, write_tensors
from convolve.training.features import outputs_of
from convolve.training.starts import Job, Trained
from convolve.workflow.build import recipe_job, recipe_start, recipe_task
from convolve.workflow.data import Member, Opened, Prepared, open_data
from convolve.workflow.planning import Plan, Say, make_or_read_plan, planned_members
from convolve.workflow.reporting import report_run
from convolve.workflow.results import HeldOut, evaluate_run, own_model

_OUTPUTS = "outputs.safetensors"


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
    return train_opened(recipe, open_data(recipe.data, progress), out=out, progress=progress, say=say)


def train_opened(recipe: Recipe, opened: Opened, *, out: Path | None, progress: Progress, say: Say) -> Run:
    """Train on data that is open already, wherever it came from; `data.path` of the recipe is but its name.

    Args:
        recipe: as for `train`.
        opened: the data.
        out: as for `train`.
        progress: as for `train`.
        say: as for `train`.

    Raises:
        UserError: as for `train`.
    """
    run = choose_run(f"classify/{opened.dataset.name}", json.loads(recipe.model_dump_json()), out)
    with run.locked():
        if run.read("results") is not None:
            say(f"{run.folder}: this training is finished already")
            return run
        plan, prepared = make_or_read_plan(run, recipe, opened, progress, say)
        _write_split(run, prepared, planned_members(plan, prepared))
        held_out = [
            _train_member(run, plan, prepared, member, progress, say) for member in planned_members(plan, prepared)
        ]
        results = evaluate_run(plan, prepared, held_out)
        _keep_best_seed(run, plan, prepared, held_out)
        report_run(run, plan, prepared, held_out, results)
        # Last of all: a run with results is whole.
        run.write("results", results)
    return run


def _train_member(run: Run, plan: Plan, prepared: Prepared, member: Member, progress: Progress, say: Say) -> HeldOut:
    folder = run.member(member.name) if member.name else run.folder
    outputs = folder / _OUTPUTS
    if not outputs.exists():
        if member.name:
            say(f"training {member.name}")
        job = recipe_job(plan.recipe, prepared, plan.preprocessing, member, plan.calibration.chosen, folder, progress)
        check_weights(run, plan, job)
        trained = recipe_start(plan.recipe).train(job)
        _save_model(folder / "model.safetensors", plan, prepared, trained, member)
        # Validation outputs are not kept: the score that chose a model is never reported as its quality.
        write_tensors(
            outputs,
            "outputs",
            {
                "outputs": outputs_of(trained, job, member.held_out)
                if len(member.held_out)
                else torch.empty(0, job.task.outputs)
            },
            {
                "temperature": trained.temperature,
                "validation": trained.validation,
                "chosen_on": trained.chosen_on,
                "trained_parameters": trained.trained_parameters,
                "train_images": trained.train_images,
                "epochs": trained.epochs,
                "best_epoch": trained.best_epoch,
                "seconds": trained.seconds,
                "images_per_second": trained.images_per_second,
                "method": trained.method,
                "notes": list(trained.notes),
            },
        )
        (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    tensors, card = read_tensors(outputs, "outputs")
    return HeldOut(member, tensors["outputs"], **card)


def check_weights(run: Run, plan: Plan, job: Job) -> None:
    """See that the pre-trained weights are still those that the plan was made for."""
    if plan.weights and job.loaded and plan.weights.digest != job.loaded.digest:
        raise UserError(
            f"{run.folder}: {job.loaded.origin} changed since this training began",
            "Restore them to go on, or start anew with another --out.",
        )


def _save_model(path: Path, plan: Plan, prepared: Prepared, trained: Trained, member: Member) -> None:
    recipe = plan.recipe
    Model(
        network=trained.network,
        architecture=describe_network(trained.network, name=recipe.network.name, options=recipe.network.options),
        task=recipe_task(recipe, prepared.dataset, member.train),
        preprocessing=plan.preprocessing,
        temperature=trained.temperature,
        facts={
            "data": prepared.dataset.name,
            "data_licence": prepared.dataset.licence,
            "train_images": trained.train_images,
            "start": recipe.start.name,
            "weights": recipe.network.weights,
            "seed": member.seed,
        },
    ).save(path)


def _keep_best_seed(run: Run, plan: Plan, prepared: Prepared, held_out: list[HeldOut]) -> None:
    """Of several seeds, the run's own model is the one that did best on validation images."""
    best = own_model(plan, prepared, held_out)
    if best.member.name:
        write_atomically(run.model, (run.folder / best.member.name / "model.safetensors").read_bytes())


def _write_split(run: Run, prepared: Prepared, trainings: list[Member]) -> None:
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
