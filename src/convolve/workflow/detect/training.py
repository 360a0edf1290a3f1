"""One training on boxes: the detector, from which probability boxes are shown, and how it fared on held-out images."""

from dataclasses import dataclass
from pathlib import Path

from convolve.deploy.detection.model import DetectionModel, describe_detector, load_detection_model
from convolve.networks.detection.detector import Detector
from convolve.progress import Progress
from convolve.run.folder import Run
from convolve.run.tensors import read_tensors, write_tensors
from convolve.tasks.detect.thresholds import best_threshold
from convolve.training.starts import Outcome
from convolve.training.tuning import TuningJob, fit_tuned
from convolve.workflow.data import Member
from convolve.workflow.detect.build import anchor_shapes, box_job, judged_rows
from convolve.workflow.detect.choices import canvas_size
from convolve.workflow.detect.data import PreparedBoxes
from convolve.workflow.detect.judgement import Judgement, from_tensors, judge_rows, to_tensors
from convolve.workflow.detect.planning import BoxPlan
from convolve.workflow.detect.vector_machines import use_vector_machines
from convolve.workflow.planning import Say, check_weights
from convolve.workflow.results import TrainingFacts

_DETECTIONS = "detections.safetensors"
_TRAINED = "trained"


@dataclass(frozen=True, kw_only=True)
class HeldOutBoxes(TrainingFacts):
    """One training on boxes, and how it fared on the images held out from it.

    Attributes:
        judgement: of `member.held_out`.
        threshold: the probability from which boxes are shown.
    """

    judgement: Judgement
    threshold: float


def train_box_member(
    run: Run, plan: BoxPlan, prepared: PreparedBoxes, member: Member, progress: Progress, say: Say
) -> HeldOutBoxes:
    """One training of a run, or what is left to do of it."""
    folder = run.member(member.name) if member.name else run.folder
    kept, files = folder / _DETECTIONS, Run(folder)
    if not kept.exists():
        if files.read(_TRAINED) is None:
            if member.name:
                say(f"training {member.name}")
            files.write(_TRAINED, _train(run, plan, prepared, member, folder, progress).card())
            (folder / "checkpoint.safetensors").unlink(missing_ok=True)
        # Testing R-CNN takes longer than training it, and is a step of its own.
        model = load_detection_model(files.model, compute=plan.calibration.chosen)
        judgement = judge_rows(model, prepared.dataset, member.held_out, progress, proposals=prepared.proposals)
        card = files.read(_TRAINED) | {"threshold": model.threshold, "seconds_by_stage": dict(judgement.seconds)}
        write_tensors(kept, "detections", to_tensors(judgement), card)
    tensors, card = read_tensors(kept, "detections")
    seconds = card.pop("seconds_by_stage")
    return HeldOutBoxes(member=member, judgement=from_tensors(tensors, seconds), **card)


def _train(
    run: Run, plan: BoxPlan, prepared: PreparedBoxes, member: Member, folder: Path, progress: Progress
) -> Outcome:
    """Train and save the model."""
    job = box_job(plan.recipe, prepared, plan.preprocessing, member, plan.calibration.chosen, folder, progress)
    check_weights(run, plan, job.loaded)
    result = fit_tuned(job)
    if job.network.pyramid is not None:
        job.network.pyramid.entry = 0
    if plan.recipe.detect.classifier == "svm":
        use_vector_machines(job, plan, prepared, member)
    model = _model(job, plan, prepared, member, threshold=0.5)
    rows = judged_rows(job.network, member.validation)
    judged = judge_rows(model, prepared.dataset, rows, progress, proposals=prepared.proposals)
    threshold = best_threshold([prepared.truth(row) for row in judged.rows.tolist()], judged.detections)
    _model(job, plan, prepared, member, threshold=threshold).save(Run(folder).model)
    verb = "fine-tuned from pre-trained weights" if job.tuning else "trained from random values"
    return Outcome(
        temperature=1.0,
        validation=result.best,
        chosen_on=f"{job.validation_images} validation images, after epoch {result.best_epoch}",
        trained_parameters=sum(p.numel() for p in job.network.parameters() if p.requires_grad),
        train_images=job.train_images,
        epochs=result.epochs,
        best_epoch=result.best_epoch,
        seconds=result.seconds,
        images_per_second=result.images_per_second,
        method=f"The network was {verb} on images with boxes.",
    )


def _model(
    job: TuningJob[Detector], plan: BoxPlan, prepared: PreparedBoxes, member: Member, *, threshold: float
) -> DetectionModel:
    recipe, dataset = plan.recipe, prepared.dataset
    crop, canvas_hw = recipe.detect.crop, canvas_size(recipe, prepared.pack, member.train)
    assert crop != "auto"  # noqa: S101
    return DetectionModel(
        network=job.network,
        architecture=describe_detector(recipe, anchors=anchor_shapes(recipe), image_hw=canvas_hw),
        classes=dataset.classes,
        preprocessing=plan.preprocessing,
        tile=crop,
        threshold=threshold,
        proposals=recipe.detect.proposals,
        facts={
            "data": dataset.name,
            "data_licence": dataset.licence,
            "train_images": job.train_images,
            "start": recipe.start.name,
            "weights": recipe.network.weights,
            "seed": member.seed,
        },
        compute=job.compute,
    )
