"""What a run does where every image has a class: train, judge, report."""

from pathlib import Path

import torch

from convolve.deploy.model import Model, describe_network
from convolve.progress import Progress
from convolve.recipe.schema import Recipe
from convolve.run.folder import Run
from convolve.run.tensors import read_tensors, write_tensors
from convolve.see.report.ladder import columns, table_rows, write_ladder
from convolve.training.features import outputs_of
from convolve.training.starts import Trained
from convolve.workflow.build import check_names, recipe_job, recipe_start, recipe_task
from convolve.workflow.data import Member, Opened, Prepared
from convolve.workflow.plan import plan_data
from convolve.workflow.planning import Plan, Say, check_weights, make_or_read_plan, prepare_planned, recipe_for
from convolve.workflow.reporting import report_run
from convolve.workflow.results import HeldOut, evaluate_run
from convolve.workflow.work import Work

_OUTPUTS = "outputs.safetensors"


def train_member(run: Run, plan: Plan, prepared: Prepared, member: Member, progress: Progress, say: Say) -> HeldOut:
    """One training of a run, or what is left to do of it."""
    folder = run.member(member.name) if member.name else run.folder
    outputs = folder / _OUTPUTS
    if not outputs.exists():
        if member.name:
            say(f"training {member.name}")
        job = recipe_job(plan.recipe, prepared, plan.preprocessing, member, plan.calibration.chosen, folder, progress)
        check_weights(run, plan, job.loaded)
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
            trained.card(),
        )
        (folder / "checkpoint.safetensors").unlink(missing_ok=True)
    tensors, card = read_tensors(outputs, "outputs")
    return HeldOut(member=member, outputs=tensors["outputs"], **card)


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


def _check(recipe: Recipe, opened: Opened) -> None:
    check_names(recipe_for(opened, recipe).recipe)


def _decode(recipe: Recipe, opened: Opened, progress: Progress) -> None:
    choices, preprocessing, _ = plan_data(recipe, opened.dataset, opened.survey)
    prepare_planned(choices.recipe, opened, preprocessing, progress)


def _share_weights(source: Run, target: Run, plan: Plan) -> None:
    raise NotImplementedError("no two rungs of classification differ in prediction alone")


CLASSIFY: Work[Plan, Prepared, HeldOut] = Work(
    task="classify",
    score_name="accuracy",
    make_or_read_plan=make_or_read_plan,
    train_member=train_member,
    evaluate=evaluate_run,
    report=report_run,
    resolve=lambda opened, recipe, progress: recipe_for(opened, recipe),
    check=_check,
    decode=_decode,
    share_weights=_share_weights,
    write_ladder=lambda study, results, opened: write_ladder(study.folder / "ladder.html", results),
    ladder_table=lambda results: (columns(results), table_rows(results)),
)
