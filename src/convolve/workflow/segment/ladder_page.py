"""The page of the ladder for masks: figures of its rungs, and their maps of the same images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from convolve.data.dataset import Mask, Sample
from convolve.data.masks.coding import decode_mask
from convolve.deploy.segmentation.model import SegmentationModel, load_segmentation_model
from convolve.deploy.segmentation.pictures import picture_of
from convolve.networks.score_maps import SCORE_MAPS
from convolve.run.folder import Run
from convolve.see.report.segmentation_ladder import (
    COLUMNS,
    MapExample,
    MapRung,
    SegmentationLadder,
    table_rows,
    write_segmentation_ladder,
)
from convolve.workflow.data import Opened

_EXAMPLES = 4


def write_map_ladder(study: Run, results: dict[str, Any], opened: Opened) -> None:
    """Write `ladder.html` into a study whose rungs are finished."""
    models = {row["rung"]: load_segmentation_model(Run(study.folder / row["rung"]).model) for row in results["rungs"]}
    first = next(iter(models.values()))
    write_segmentation_ladder(
        study.folder / "ladder.html",
        _ladder(
            results, classes=first.classes, colours=first.colours, examples=_examples(study, results, opened, models)
        ),
    )


def map_ladder_table(results: dict[str, Any]) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """Columns and rows of the rungs' figures, as text."""
    return COLUMNS, table_rows(_ladder(results, classes=(), colours=(), examples=()))


def _ladder(
    results: dict[str, Any],
    *,
    classes: Sequence[str],
    colours: Sequence[tuple[int, int, int]],
    examples: Sequence[MapExample],
) -> SegmentationLadder:
    return SegmentationLadder(
        data=results["data"],
        network=results["network"],
        classes=classes,
        colours=colours,
        judged=results["judged"],
        images=results["images"],
        rungs=[
            MapRung(
                rung=row["rung"],
                about=SCORE_MAPS[row["rung"]].about,
                mean_iou=row["mean_iou"],
                mean_iou_ci95=row["mean_iou_ci95"],
                pixel_accuracy=row["pixel_accuracy"],
                seconds_per_image=row["prediction_seconds"],
                seconds=row["seconds"],
                parameters=row["trained_parameters"],
                peak_bytes=row["peak_bytes"],
                report=row["report"],
            )
            for row in results["rungs"]
        ],
        left_out=[(row["rung"], row["reason"]) for row in results["left_out"]],
        differences=[(test["words"], test["more_than_chance"]) for test in results["comparisons"]],
        examples=examples,
    )


def _examples(
    study: Run, results: dict[str, Any], opened: Opened, models: dict[str, SegmentationModel]
) -> list[MapExample]:
    """Some of the images that the first rung was judged on, evenly spread, as all rungs see them."""
    judged = Run(study.folder / results["rungs"][0]["rung"]).read("results")
    names = [one["name"] for one in judged[results["judged"].replace("-", "_")]["per_image"]]
    chosen = [names[place] for place in np.unique(np.linspace(0, len(names) - 1, _EXAMPLES).astype(int))]
    samples = {sample.name: sample for sample in opened.dataset.samples}
    return [_example(samples[name], opened, models) for name in chosen]


def _example(sample: Sample, opened: Opened, models: dict[str, SegmentationModel]) -> MapExample:
    model = next(iter(models.values()))
    assert isinstance(sample.image, Path)  # noqa: S101
    assert isinstance(sample.target, Mask)  # noqa: S101
    assert opened.dataset.coding is not None  # noqa: S101
    with model.source(sample.image, None) as source:
        pixels, _ = source.read(0, 0, *source.hw)
    return MapExample(
        name=sample.name,
        image=picture_of(pixels, model.preprocessing),
        truth=decode_mask(sample.target, opened.dataset.coding, hw=None).classes,
        predicted={rung: model.segment(sample.image).labels for rung, model in models.items()},
    )
