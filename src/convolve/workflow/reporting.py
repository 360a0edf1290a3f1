"""A run's report, and the table of its predictions."""

import csv
import io
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convolve.data.dataset import class_counts, labels_of
from convolve.data.loader import Loader
from convolve.deploy.model import load_model
from convolve.networks.catalogue import find_architecture
from convolve.networks.heads import fitted_numbers
from convolve.networks.pretrained import Weights
from convolve.recipe.file import write_recipe
from convolve.run.files import write_atomically
from convolve.run.folder import Run
from convolve.run.history import read_history
from convolve.see.inside.subject import Question, Subject
from convolve.see.report.content import DataSummary, Example, LooksAt, NetworkFacts, Report
from convolve.see.report.content import Member as ReportMember
from convolve.see.report.page import write_report
from convolve.workflow.build import recipe_augmentation, recipe_weights
from convolve.workflow.data import Member, Prepared
from convolve.workflow.explaining.classify import ClassifierExplainer
from convolve.workflow.explaining.evidence import MOST_SHOWN, looks_at
from convolve.workflow.planning import Plan, planned_members
from convolve.workflow.results import HeldOut, Judged, judge, own_model, run_task

_EXAMPLES = 24
_SHEET = 16
_PROBLEMS_SHOWN = 50


def report_run(run: Run, plan: Plan, prepared: Prepared, held_out: Sequence[HeldOut], results: dict[str, Any]) -> None:
    """Write `report.html` and `predictions.csv`."""
    judged = judge(plan, prepared, held_out)
    own = own_model(held_out, run_task(plan, prepared).score_name)
    if judged:
        _write_predictions(run, plan, prepared, judged)
    history = read_history(run.member(own.member.name) if own.member.name else run.folder)
    wrong, unsure, looks = _examples(run, plan, prepared, judged[0]) if judged else ((), (), None)
    first = judged[0] if judged else None
    recipe = plan.recipe
    write_report(
        run.report,
        Report(
            title=f"{prepared.dataset.name}: {recipe.network.name}, {recipe.start.name}",
            command=f"convolve train {shlex.quote(str(run.recipe))}",
            created=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
            reasons=[*(f"{key}: {why}." for key, why in plan.reasons.items()), *own.notes],
            recipe_toml=write_recipe(recipe, plan.reasons),
            data=_data_summary(plan, prepared, own.member),
            network=_network_facts(run, plan, own),
            results=first.results if first else {"n": 0, **own.validation},
            split=first.split if first else "validation",
            chosen_on_split=first is None,
            score_name=run_task(plan, prepared).score_name,
            plain_sheet=_sheet(plan, prepared, augmented=False),
            augmented_sheet=_sheet(plan, prepared, augmented=True),
            history=history,
            best_epoch=own.best_epoch,
            members=[
                ReportMember(name=one["name"], results={k: v for k, v in one.items() if k != "name"})
                for one in results.get("members", [])
            ],
            mistakes=wrong,
            uncertain=unsure,
            looks_at=looks,
            timings={"training": results["seconds"]},
            environment=run.read("environment"),
        ),
    )


def _examples(run: Run, plan: Plan, prepared: Prepared, judged: Judged) -> tuple[list[Example], list[Example], LooksAt]:
    """The surest mistakes, what is least sure, and what the network looked at in the first."""
    task = run_task(plan, prepared)
    probabilities = task.probabilities(judged.outputs, temperature=1.0)
    targets = task.pack_targets([prepared.dataset.samples[row] for row in judged.rows])
    fared = task.image_results(probabilities, targets)
    order = np.argsort([-one.probability for one in fared], kind="stable")
    wrong = [position for position in order if not fared[position].right][:_EXAMPLES]
    unsure = list(order[::-1][:_EXAMPLES])

    def example(position: int) -> Example:
        row, one = judged.rows[position], fared[position]
        name = prepared.dataset.samples[row].name
        return Example(np.asarray(prepared.pack.images[row]), name, one.truth, one.predicted, one.probability)

    @cache
    def explainer_of(judge: str) -> ClassifierExplainer:
        return ClassifierExplainer(load_model(Run(run.member(judge) if judge else run.folder).model))

    def asked(position: int) -> tuple[Subject, Question, float]:
        row, best = judged.rows[position], int(probabilities[position].argmax())
        sample = prepared.dataset.samples[row]
        truth = next(iter(labels_of(sample)), None)
        explainer = explainer_of(judged.judges[position])
        question = explainer.question(np.asarray(prepared.pack.images[row]), sample.name, wanted=best, truth=truth)
        return explainer.network(), question, fared[position].probability

    looks = looks_at(lambda: [asked(position) for position in wrong[:MOST_SHOWN]])
    return [example(position) for position in wrong], [example(position) for position in unsure], looks


def _write_predictions(run: Run, plan: Plan, prepared: Prepared, judged: Sequence[Judged]) -> None:
    task = run_task(plan, prepared)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "judged", "truth", "predicted", "right", *(f"p({name})" for name in task.classes)])
    for one in judged:
        probabilities = task.probabilities(one.outputs, temperature=1.0)
        targets = task.pack_targets([prepared.dataset.samples[row] for row in one.rows])
        fared = task.image_results(probabilities, targets)
        for row, result, shares in zip(one.rows, fared, probabilities.tolist(), strict=True):
            name = prepared.dataset.samples[row].name
            words = [name, one.split, result.truth, result.predicted, int(result.right)]
            writer.writerow([*words, *(f"{share:.6f}" for share in shares)])
    write_atomically(run.predictions, text.getvalue())


def _data_summary(plan: Plan, prepared: Prepared, member: Member) -> DataSummary:
    dataset = prepared.dataset
    rows = {"train": member.train, "validation": member.validation, "test": member.held_out}
    if plan.recipe.folds:
        rows = {"cross-validated": prepared.rows("train"), "test": member.held_out}
    counts = {
        split: class_counts((dataset.samples[row] for row in some), len(dataset.classes)).tolist()
        for split, some in rows.items()
        if len(some)
    }
    grouped = any(sample.group is not None for sample in dataset.samples)
    return DataSummary(
        name=dataset.name,
        form=dataset.form,
        classes=dataset.classes,
        counts=counts,
        images={split: len(some) for split, some in rows.items() if len(some)},
        unlabelled=len(member.unlabelled),
        licence=dataset.licence,
        left_out=[(problem.where, problem.what) for problem in prepared.left_out[:_PROBLEMS_SHOWN]],
        left_out_count=len(prepared.left_out),
        duplicates=len(prepared.hashes) - len(set(prepared.hashes)),
        split_by="group" if grouped else "",
    )


def _network_facts(run: Run, plan: Plan, own: HeldOut) -> NetworkFacts:
    recipe, preprocessing = plan.recipe, plan.preprocessing
    network = load_model(run.model).network
    backbone = sum(parameter.numel() for parameter in network.backbone.parameters())
    source = recipe_weights(recipe)
    return NetworkFacts(
        name=recipe.network.name,
        source=find_architecture(recipe.network.name).source,
        parameters=backbone + fitted_numbers(network.head),
        trained_parameters=own.trained_parameters,
        method=own.method,
        weights=source.trained_on if isinstance(source, Weights) else str(source or "random"),
        licence=source.licence if isinstance(source, Weights) else "",
        loaded=tuple(plan.weights.rows()) if plan.weights else (),
        start=recipe.start.name,
        image_hw=preprocessing.image_hw,
        fit=preprocessing.fit,
        channels=preprocessing.channels,
    )


def _sheet(plan: Plan, prepared: Prepared, *, augmented: bool) -> list[NDArray[np.uint8]]:
    """Training images as the network sees them."""
    rows = planned_members(plan, prepared)[-1].train
    rows = rows[np.linspace(0, len(rows) - 1, min(_SHEET, len(rows))).astype(int)]
    augmentation = recipe_augmentation(plan.recipe, fill=plan.preprocessing.fill)
    if not augmented:
        return [np.asarray(prepared.pack.images[row]) for row in rows]
    if augmentation is None:
        return []
    targets = run_task(plan, prepared).pack_targets(prepared.dataset.samples)
    loader = Loader(
        prepared.pack.images,
        targets,
        rows,
        batch_size=_SHEET,
        seed=plan.recipe.seed,
        augmentation=augmentation,
        shuffle=False,
    )
    images = loader.batch(0, 0).images
    pixels: NDArray[np.uint8] = (images * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return list(pixels)
