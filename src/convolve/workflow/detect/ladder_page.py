"""The page of the ladder for boxes: figures of its rungs, and what they found in the same images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from convolve.data.dataset import Boxes, Sample
from convolve.data.decoding import decode
from convolve.deploy.detection.model import load_detection_model
from convolve.networks.detectors import DETECTORS
from convolve.run.folder import Run
from convolve.run.tensors import read_tensors
from convolve.see.report.detection_ladder import (
    COLUMNS,
    BoxRung,
    DetectionLadder,
    LadderExample,
    table_rows,
    write_detection_ladder,
)
from convolve.workflow.data import Opened
from convolve.workflow.detect.judgement import Judgement, from_tensors
from convolve.workflow.detect.marks import annotated_marks, marks_of

_EXAMPLES = 4


def write_box_ladder(study: Run, results: dict[str, Any], opened: Opened) -> None:
    """Write `ladder.html` into a study whose rungs are finished."""
    write_detection_ladder(study.folder / "ladder.html", _ladder(results, _examples(study, results, opened)))


def box_ladder_table(results: dict[str, Any]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Columns and rows of the rungs' figures, as text."""
    return COLUMNS, table_rows(_ladder(results, ()))


def _ladder(results: dict[str, Any], examples: Sequence[LadderExample]) -> DetectionLadder:
    return DetectionLadder(
        data=results["data"],
        network=results["network"],
        judged=results["judged"],
        images=results["images"],
        rungs=[_rung(row) for row in results["rungs"]],
        left_out=[(row["rung"], row["reason"]) for row in results["left_out"]],
        differences=[(test["words"], test["more_than_chance"]) for test in results["comparisons"]],
        examples=examples,
    )


def _rung(row: dict[str, Any]) -> BoxRung:
    stages = {stage: milliseconds / 1000 for stage, milliseconds in row["ms_by_stage"].items()}
    proposals = stages.pop("proposals")
    return BoxRung(
        rung=row["rung"],
        about=DETECTORS[row["rung"]].about,
        map50=row["map50"],
        map50_ci95=row["map50_ci95"],
        map=row["map"],
        proposal_seconds=proposals,
        network_seconds=stages["network"],
        proposal_recall=row["proposal_recall"],
        seconds=row["seconds"],
        parameters=row["trained_parameters"],
        report=row["report"],
    )


def _examples(study: Run, results: dict[str, Any], opened: Opened) -> list[LadderExample]:
    """Some of the images that the first rung was judged on, evenly spread, as all rungs see them."""
    runs = {row["rung"]: Run(study.folder / row["rung"]) for row in results["rungs"]}
    judgements = {rung: _judgement(run) for rung, run in runs.items()}
    thresholds = {rung: load_detection_model(run.model).threshold for rung, run in runs.items()}
    rows = [judgement.rows.tolist() for judgement in judgements.values() if judgement is not None]
    # With folds the detections are in the members' folders, and each rung's report has its own pictures.
    shared = sorted(set(rows[0]).intersection(*rows)) if len(rows) == len(runs) else []
    places = np.unique(np.linspace(0, max(0, len(shared) - 1), _EXAMPLES).astype(int))[: len(shared)]
    examples = []
    for row in [shared[place] for place in places]:
        sample = opened.dataset.samples[row]
        truth = _truth(sample)
        marks = {}
        for rung, judgement in judgements.items():
            assert judgement is not None  # noqa: S101
            detections = judgement.detections[judgement.rows.tolist().index(row)]
            marks[rung] = marks_of(truth, detections, opened.dataset.classes, threshold=thresholds[rung])
        examples.append(
            LadderExample(
                name=sample.name,
                image=decode(sample.image, channels=3),
                truth=annotated_marks(truth, opened.dataset.classes),
                marks=marks,
            )
        )
    return examples


def _judgement(run: Run) -> Judgement | None:
    path = run.folder / "detections.safetensors"
    if not path.exists():
        return None
    tensors, card = read_tensors(path, "detections")
    return from_tensors(tensors, card["seconds_by_stage"])


def _truth(sample: Sample) -> Boxes:
    assert isinstance(sample.target, Boxes)  # noqa: S101
    return sample.target
