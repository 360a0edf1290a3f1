"""R-CNN's support vector machines in place of a trained detector's softmax."""

import torch
from torch import Tensor

from convolve.data.box_batches import WholeBoxBatches
from convolve.errors import UserError
from convolve.networks.detection.detector import Detector, Seen
from convolve.networks.detection.two_stage import TwoStageDetector
from convolve.training.inference import in_test_mode
from convolve.training.region_svm import fit_region_svms, install_svms, region_features
from convolve.training.tuning import TuningJob
from convolve.workflow.data import Member
from convolve.workflow.detect.data import PreparedBoxes
from convolve.workflow.detect.planning import BoxPlan

# Of a training image: given ones come in an order of chance, and a network's own best first.
_REGIONS = 500


def use_vector_machines(job: TuningJob[Detector], plan: BoxPlan, prepared: PreparedBoxes, member: Member) -> None:
    """Fit the machines to the training images, as they are, and let them say how probable classes are.

    Args:
        job: its network is trained.
        plan: how images are brought to the network.
        prepared: images, boxes, and given regions where the network takes some.
        member: whose training images.

    Raises:
        UserError: the detector has no regions, or there is no object.
    """
    detector = job.network
    if not isinstance(detector, TwoStageDetector):
        raise UserError(f"detect.classifier=svm: '{plan.recipe.detect.name}' does not look at regions", "Leave it out.")
    batches = WholeBoxBatches(
        prepared.pack,
        member.train,
        preprocessing=plan.preprocessing,
        largest=1,
        regions=prepared.regions(most=_REGIONS),
    )

    # Training leaves it where it computed.
    device = next(detector.parameters()).device

    def seen(row: int) -> Seen:
        batch = batches.batch(0, row)
        images = plan.preprocessing.normalise(batch.images.to(device))
        hw, *given = (extra.to(device) for extra in batch.extras)
        return Seen(detector.dense(images), (images.shape[2], images.shape[3]), hw, given[0] if given else None)

    def features(row: int, boxes: Tensor) -> Tensor:
        images = plan.preprocessing.normalise(batches.batch(0, row).images.to(device))
        return region_features(detector, images, boxes.to(device))

    with in_test_mode(detector), torch.inference_mode():
        regions = [detector.propose(seen(row))[0][:_REGIONS].cpu() for row in range(batches.steps)]
    targets = [batches.batch(0, row).targets[0] for row in range(batches.steps)]
    svms = fit_region_svms(features, regions, targets, classes=len(prepared.dataset.classes), progress=job.progress)
    install_svms(detector, svms)
