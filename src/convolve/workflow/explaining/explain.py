"""`convolve explain`: what a network looks at, instrument by instrument."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from convolve.data.content import content_hashes
from convolve.data.dataset import Dataset
from convolve.data.decoding import BrokenImage
from convolve.deploy.detection.model import DetectionModel
from convolve.deploy.loading import AnyModel
from convolve.deploy.model import Model
from convolve.deploy.segmentation.pictures import distinct_stems
from convolve.errors import UserError, shown
from convolve.progress import Progress
from convolve.registry import checked_options
from convolve.run.files import make_folder
from convolve.run.folder import Run
from convolve.see.inside.gallery import Gallery
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.layers import check_unit, find_layer
from convolve.see.inside.page import Explained, Looked, Part, outlined, write_explained, write_pictures
from convolve.see.inside.subject import Question, Subject, answer
from convolve.workflow.explaining.classify import ClassifierExplainer
from convolve.workflow.explaining.detect import DetectorExplainer
from convolve.workflow.explaining.explainer import Asked, Explainer, Known, Pointed, nothing_known
from convolve.workflow.explaining.segment import SegmenterExplainer
from convolve.workflow.testing import find_model, own_opened, rows_of_other, rows_of_split

_NETWORK = "network"
_ANSWERS_SHOWN = 5
_FAILED_TOLD = 3


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a user wants to see.

    Attributes:
        out: folder of the page and the pictures; made on demand.
        pointed: what of each image's answer.
        only: names of instruments; empty = all that work here.
        options: of each instrument, as the user gives them.
        layer: whose maps; None = each instrument's own choice.
        units: which of its maps; empty = likewise.
        data: images to compare with; None = the run's own training images, where it is a run and they are there;
            "none" = none.
        seed: of what is drawn.
        command: what the page says makes it again.
    """

    out: Path
    pointed: Pointed
    only: Sequence[str] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    layer: str | None = None
    units: tuple[int, ...] = ()
    data: str | None = None
    seed: int = 0
    command: str = ""


def explain(path: Path, images: Sequence[Path], wanted: Wanted, progress: Progress) -> dict[str, Any]:
    """Look into a network, and at why it answers as it does.

    Args:
        path: a run's folder, or a model file.
        images: files; none = the network alone.
        wanted: what to see.
        progress: told of every step.

    Returns:
        Plain JSON values: the page, the files, the numbers, what was left out and why.

    Raises:
        UserError: no image can be read; the model, an option, a layer, a class or what is pointed at is not there; or
            an instrument that was asked for by name cannot work here.
    """
    model = find_model(path)
    explainer = explainer_of(model)
    explainer.check(wanted.pointed)
    instruments = _chosen(wanted)
    subject = explainer.network()
    if wanted.layer is not None:
        layer = find_layer(subject, wanted.layer)
        for unit in wanted.units:
            check_unit(layer, unit)
    elif wanted.units:
        raise UserError("--unit says which map, and of which layer is not told", "Give --layer NAME as well.")
    make_folder(wanted.out)
    own_data = _own_data(path, explainer, wanted, progress)
    look = Look(layer=wanted.layer, units=wanted.units, gallery=own_data.gallery, seed=wanted.seed, progress=progress)
    parts, failed, answers = [], [], {}
    # The network's own part has a place on the page, too.
    _, *slugs = distinct_stems([_NETWORK, *images])
    for image, slug in zip(images, slugs, strict=True):
        try:
            asked = explainer.ask(image, wanted.pointed, own_data.known)
        except BrokenImage as error:
            failed.append((str(image), str(error)))
            continue
        parts.append(_of_image(asked, image.name, slug, instruments, look, wanted))
        answers[slug] = {"image": str(image), **asked.answers}
    if images and not parts:
        told = "; ".join(f"{image}: {reason}" for image, reason in failed[:_FAILED_TOLD])
        more = f" (and {len(failed) - _FAILED_TOLD} more)" if len(failed) > _FAILED_TOLD else ""
        raise UserError(f"none of the images can be explained: {told}{more}", "Give images that can be read.")
    parts.append(_of_network(subject, instruments, look, wanted))
    page = write_explained(
        wanted.out,
        Explained(
            title=f"{path.name}: what it looks at",
            command=wanted.command,
            facts=_facts(path, model, subject, own_data),
            parts=[part for part in parts if part.looked or part.left_out or part.picture is not None],
            failed=failed,
        ),
    )
    found = {part.slug: part.told(write_pictures(wanted.out, part)) for part in parts}
    return {
        "page": str(page),
        _NETWORK: found.pop(_NETWORK),
        "images": [{**answers[slug], **one} for slug, one in found.items()],
        "failed": [{"image": image, "error": reason} for image, reason in failed],
    }


def explainer_of(model: AnyModel) -> Explainer:
    """The explainer of a model of any task."""
    if isinstance(model, Model):
        return ClassifierExplainer(model)
    return DetectorExplainer(model) if isinstance(model, DetectionModel) else SegmenterExplainer(model)


@dataclass(frozen=True)
class _OwnData:
    """What is known besides the model: images to compare with, and truths; or why there are none."""

    gallery: Gallery | None
    known: Known
    words: str


def _chosen(wanted: Wanted) -> list[Instrument]:
    """The instruments that are asked for, in the order of the page, their options checked."""
    instruments = sorted((INSTRUMENTS[name] for name in wanted.only or INSTRUMENTS), key=lambda one: one.order)
    for name, options in wanted.options.items():
        instrument = INSTRUMENTS[name]
        if instrument not in instruments:
            raise UserError(f"--set {name}.{next(iter(options))}: '{name}' is not among --only", f"Add it: {name}.")
        checked_options(instrument.run, options, where=f"--set {name}")
    return list({one.name: one for one in instruments}.values())


def _own_data(path: Path, explainer: Explainer, wanted: Wanted, progress: Progress) -> _OwnData:
    if wanted.data == "none":
        return _OwnData(None, nothing_known, "none: --data none")
    run = Run(path) if path.is_dir() and Run(path).read("plan") is not None else None
    try:
        recipe = explainer.recipe_of(run) if run else None
        if wanted.data is not None:
            dataset = explainer.read(wanted.data, recipe, progress)
            hashes = content_hashes(dataset, progress)
            rows, split = rows_of_other(dataset, wanted.data, "train")
        elif run and recipe:
            opened = own_opened(run, recipe, progress)
            dataset, hashes, split = opened.dataset, opened.hashes, "train"
            rows = rows_of_split(run, recipe, opened, split)
        else:
            return _OwnData(None, nothing_known, "none: a model file has no data; --data gives some")
        gallery = explainer.gallery(dataset, rows.tolist(), hashes, progress)
    except UserError as error:
        if wanted.data is not None:
            raise
        # The photographs of a run may be on another machine; all that needs none of them is shown all the same.
        return _OwnData(None, nothing_known, f"none: {error.problem}")
    return _OwnData(gallery, _known_by_content(dataset, hashes), f"{len(gallery):,} of {dataset.name} ({split})")


def _known_by_content(dataset: Dataset, hashes: Sequence[str]) -> Known:
    rows = {digest: row for row, digest in enumerate(hashes)}

    def known(image: Path) -> Dataset | None:
        alone = replace(dataset, samples=(replace(dataset.samples[0], name=image.name, image=image),))
        row = rows.get(content_hashes(alone)[0])
        return None if row is None else dataset.keep([row])

    return known


def _of_image(
    asked: Asked, name: str, slug: str, instruments: Sequence[Instrument], look: Look, wanted: Wanted
) -> Part:
    subject, question = asked.subject, asked.question
    probabilities = answer(subject, question)
    best = probabilities.argsort(descending=True)[:_ANSWERS_SHOWN].tolist()
    facts = [("explained", subject.classes[question.wanted])]
    facts += (
        [("asked about (outlined)" if question.inside is not None else "asked about", question.about)]
        if question.about
        else []
    )
    facts += [("truth", subject.classes[question.truth])] if question.truth is not None else []
    facts += [(f"p({subject.classes[index]})", f"{float(probabilities[index]):.1%}") for index in best]
    of_images = [instrument for instrument in instruments if instrument.of == "image"]
    looked, left_out = _look(of_images, (subject, question), look, wanted)
    return Part(title=name, slug=slug, picture=outlined(question), facts=facts, looked=looked, left_out=left_out)


def _of_network(subject: Subject, instruments: Sequence[Instrument], look: Look, wanted: Wanted) -> Part:
    of_network = [instrument for instrument in instruments if instrument.of == "network"]
    looked, left_out = _look(of_network, (subject,), look, wanted)
    return Part(title="The network", slug=_NETWORK, looked=looked, left_out=left_out)


def _look(
    instruments: Sequence[Instrument], at: tuple[Subject] | tuple[Subject, Question], look: Look, wanted: Wanted
) -> tuple[list[Looked], list[tuple[str, str]]]:
    looked: list[Looked] = []
    left_out: list[tuple[str, str]] = []
    for number, instrument in enumerate(instruments):
        look.progress("looking", number, len(instruments))
        started = time.perf_counter()
        options = checked_options(instrument.run, wanted.options.get(instrument.name, {}), where=instrument.name)
        try:
            panel = instrument.run(*at, look, **options)
        except UserError as error:
            # What was asked for by name is missed; of all instruments, some do not suit every network.
            if instrument.name in wanted.only:
                raise
            left_out.append((instrument.name, error.problem.removeprefix(f"{instrument.name}: ")))
        else:
            looked.append(Looked(instrument=instrument, panel=panel, seconds=time.perf_counter() - started))
    return looked, left_out


def _facts(path: Path, model: AnyModel, subject: Subject, data: _OwnData) -> list[tuple[str, str]]:
    height, width = subject.image_hw
    return [
        ("model", str(path)),
        ("network", str(model.architecture["name"])),
        ("classes", shown(subject.classes, at_most=20)),
        ("input", f"{height} x {width} pixels, {subject.channels} channels"),
        ("images to compare with", data.words),
    ]
