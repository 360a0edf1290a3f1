"""What a detector looked at in its surest false alarms."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from convolve.data.decoding import decode
from convolve.deploy.detection.model import load_detection_model
from convolve.run.folder import Run
from convolve.see.box_drawing import BoxMark
from convolve.see.inside.subject import Question, Subject
from convolve.see.report.content import LooksAt
from convolve.workflow.detect.data import PreparedBoxes
from convolve.workflow.detect.judging import JudgedBoxes
from convolve.workflow.explaining.detect import BACKGROUND, DetectorExplainer
from convolve.workflow.explaining.evidence import MOST_SHOWN, looks_at


def looks_at_boxes(
    run: Run, prepared: PreparedBoxes, judged: JudgedBoxes, marks: Sequence[Sequence[BoxMark]]
) -> LooksAt:
    """A report's section, by the models that made the mistakes.

    Args:
        run: the run.
        prepared: its images.
        judged: what was found in them.
        marks: of each judged image.
    """

    @cache
    def explainer_of(judge: str) -> DetectorExplainer:
        return DetectorExplainer(load_detection_model(Run(run.member(judge) if judge else run.folder).model))

    alarms = [
        (place, mark, mark.probability)
        for place, some in enumerate(marks)
        for mark in some
        if mark.kind == "false alarm" and mark.probability is not None
    ]

    def asked(place: int, mark: BoxMark, probability: float) -> tuple[Subject, Question, float]:
        sample = prepared.dataset.samples[int(judged.rows[place])]
        explainer = explainer_of(judged.judges[place])
        pixels = decode(sample.image, channels=explainer.model.preprocessing.channels)
        label = explainer.model.classes.index(mark.label)
        subject, question = explainer.box(pixels, sample.name, np.array(mark.corners), label)
        background = subject.classes.index(BACKGROUND) if BACKGROUND in subject.classes else None
        return subject, replace(question, truth=background), probability

    surest = sorted(alarms, key=lambda alarm: -alarm[2])[:MOST_SHOWN]
    return looks_at(lambda: [asked(*alarm) for alarm in surest])
