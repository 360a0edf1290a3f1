"""Training and test throughput on boxes against torchvision's own Faster R-CNN, trained as its reference does it.

    python benchmarks/detection_training.py FOLDER_WITH_BOXES
    python benchmarks/detection_training.py FOLDER_WITH_BOXES --epochs 26

The reference (pytorch/vision, references/detection/train.py and presets.py, preset "hflip") decodes each image from its
file in every epoch, flips it by itself in a worker, and trains in eager float32, contiguous, by SGD: a pyramid of 256
channels at strides 4 to 64, batch norm frozen, the lower two of five resolutions not trained. convolve does what
`convolve train` does, by its own plan: images are decoded into its cache before the clock starts, an engine runs the
lower two resolutions, and the layout is the one that it measures to be fastest. Both train EfficientNet-Lite0 from the
packaged weights, on the same images in batches of the same size; both run in turn in one process, several rounds; what
counts is the median of the rounds' ratios. Testing is from files to boxes, one image at a time.

With --epochs, both are trained for so many first, each on its own schedule, and judged on the test images by one judge.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from PIL import Image
from timm.utils.model import freeze_batch_norm_2d
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import tv_tensors
from torchvision.models.detection import FasterRCNN
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool
from torchvision.transforms import v2

from convolve.data.batch import Batch, Batches
from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Boxes, Sample
from convolve.deploy.detection.model import DetectionModel, describe_detector, load_detection_model
from convolve.networks.pretrained import PACKAGED_WEIGHTS, Weights
from convolve.progress import silent
from convolve.recipe.file import make_recipe
from convolve.recipe.schema import DataSection
from convolve.run.folder import Run
from convolve.tasks.detect.results import results
from convolve.training.tuning import fit_tuned
from convolve.workflow.data import open_data
from convolve.workflow.detect.build import anchor_shapes, box_job, judging_batches
from convolve.workflow.detect.planning import make_or_read_box_plan
from convolve.workflow.detect.training import train_box_member
from convolve.workflow.planning import recipe_members

_NETWORK = "tf_efficientnet_lite0"
_CHANNELS = 256
# Of an image: the reference's is for eight machines with two images each.
_LEARNING_RATE = 0.02 / 16


class Lite0WithPyramid(nn.Module):
    """What torchvision's `resnet_fpn_backbone` is for ResNet, with `trainable_layers=3`: frozen up to stride 4."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        body = timm.create_model(_NETWORK, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4))
        tensors = weights.load()
        body.load_state_dict({name: tensors[name] for name in body.state_dict()})
        for part in (body.conv_stem, body.bn1, body.blocks[0], body.blocks[1]):
            part.requires_grad_(False)
        self.body = freeze_batch_norm_2d(body)
        self.fpn = FeaturePyramidNetwork(body.feature_info.channels(), _CHANNELS, extra_blocks=LastLevelMaxPool())
        self.out_channels = _CHANNELS

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W) -> five maps by name, finest first."""
        maps: dict[str, Tensor] = self.fpn({str(at): one for at, one in enumerate(self.body(images))})
        return maps


class Pictures(torch.utils.data.Dataset[tuple[Tensor, dict[str, Tensor]]]):
    """Image files and their boxes as the reference serves them; classes are counted from 1."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples
        to_floats = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.ToPureTensor()]
        self.transform = v2.Compose([v2.RandomHorizontalFlip(0.5), *to_floats])

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        picture, truth = Image.open(self.samples[index].image).convert("RGB"), truth_of(self.samples[index])
        corners = torch.tensor([one.corners for one in truth.objects]).reshape(-1, 4)
        boxes = tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=truth.hw)
        labels = torch.tensor([one.index + 1 for one in truth.objects], dtype=torch.int64)
        return self.transform(picture, {"boxes": boxes, "labels": labels})


class Reference:
    """torchvision's detector and the reference's loop, on its schedule with its 26 epochs made `epochs`."""

    def __init__(self, samples: Sequence[Sample], classes: int, batch: int, workers: int, epochs: int) -> None:
        weights, sizes = PACKAGED_WEIGHTS["efficientnet_lite0"], [truth_of(sample).hw for sample in samples]
        how: dict[str, Any] = {"image_mean": weights.mean, "image_std": weights.std}
        # The largest images stay as they are.
        how |= {"min_size": max(min(hw) for hw in sizes), "max_size": max(max(hw) for hw in sizes)}
        self.network = FasterRCNN(Lite0WithPyramid(weights), classes + 1, **how)
        serving = {"shuffle": True, "drop_last": True, "num_workers": workers, "collate_fn": _columns}
        self.loader: DataLoader[Any] = DataLoader(Pictures(samples), batch, **serving)
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimiser = torch.optim.SGD(trained, lr=batch * _LEARNING_RATE, momentum=0.9, weight_decay=1e-4)
        steps, warm_up = len(self.loader), max(1, min(1000, len(self.loader) - 1))

        def factor(step: int) -> float:
            drops = sum(step // steps >= round(epochs * share) for share in (16 / 26, 22 / 26))
            return 0.1**drops * min(1.0, 0.001 + 0.999 * step / warm_up)

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, factor)

    def train(self, steps: int) -> float:
        """Images a second; workers are started before the clock."""
        self.network.train()
        batches = iter(self.loader)
        images, targets = next(batches)
        started = time.perf_counter()
        for step in range(steps):
            loss = sum(self.network(images, targets).values())
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.schedule.step()
            loss.item()
            if step + 1 < steps:
                images, targets = next(batches)
        return steps * len(images) / (time.perf_counter() - started)

    def detect(self, path: Path) -> Detections:
        """The boxes of an image file."""
        self.network.eval()
        picture = v2.functional.to_dtype(v2.functional.pil_to_tensor(Image.open(path).convert("RGB")), scale=True)
        with torch.inference_mode():
            found = self.network([picture])[0]
        corners, probabilities = (found[name].double().numpy() for name in ("boxes", "scores"))
        return Detections(corners, found["labels"].numpy() - 1, probabilities)


@dataclass(frozen=True)
class SomeSteps:
    """The first steps of every epoch."""

    whole: Batches
    steps: int

    def batch(self, epoch: int, step: int) -> Batch:
        """See `Batches`."""
        return self.whole.batch(epoch, step)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """See `Batches`."""
        return (self.batch(epoch, step) for step in range(start_step, self.steps))


def truth_of(sample: Sample) -> Boxes:
    """The boxes of a sample of a data set with boxes."""
    if not isinstance(sample.target, Boxes):
        raise TypeError(f"{sample.name} has no boxes")
    return sample.target


def _columns(pairs: list[tuple[Any, Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(zip(*pairs, strict=True))


def compare(what: str, rounds: int, theirs: Callable[[int], float], mine: Callable[[int], float]) -> None:
    """Images a second of both, in turn, and the median of the ratios."""
    pairs = []
    for number in range(rounds):
        pairs.append((theirs(number), mine(number)))
        told = f"reference {pairs[-1][0]:.2f}, convolve {pairs[-1][1]:.2f} images/s"
        print(f"{what}, round {number}: {told}, ratio {pairs[-1][1] / pairs[-1][0]:.2f}", flush=True)
    medians = [statistics.median(rates) for rates in zip(*pairs, strict=True)]
    ratio = statistics.median(ours / others for others, ours in pairs)
    print(f"{what}: medians {medians[0]:.2f} and {medians[1]:.2f} images/s, median ratio {ratio:.2f}", flush=True)


def main() -> None:
    """Run the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    for name, usual in (("batch", 4), ("workers", 2), ("rounds", 5), ("steps", 12), ("images", 72), ("epochs", 0)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    given = parser.parse_args()
    opened = open_data(DataSection(path=given.folder), silent, task="detect")
    dataset, run = opened.dataset, Run(Path(tempfile.mkdtemp()))
    side, epochs = max(max(truth_of(sample).hw) for sample in dataset.samples), given.epochs or 26
    table = {"task": "detect", "data": {"path": given.folder}, "network": {"name": f"timm:{_NETWORK}"}}
    table |= {"detect": {"name": "faster", "side": side}, "train": {"batch_size": given.batch, "epochs": epochs}}
    recipe = make_recipe(table | {"budget": "none"})
    plan, prepared = make_or_read_box_plan(run, recipe, opened, silent, print)
    member, compute = recipe_members(plan.recipe, prepared)[-1], plan.calibration.chosen
    samples = [dataset.samples[row] for row in member.train.tolist()]
    new_reference = partial(Reference, samples, len(dataset.classes), given.batch, given.workers, epochs)
    reference = new_reference()
    job = box_job(plan.recipe, prepared, plan.preprocessing, member, compute, run.folder, silent)
    # Converted for the engine before the clock, for the size of the training batches first.
    job.normalise(job.train.batch(0, 0).images)
    judged = judging_batches(prepared, plan.preprocessing, job.network, member.validation[:1])

    def train(number: int) -> float:
        folder, settings = run.folder / f"round{number}", replace(job.settings, epochs=1, keep="last")
        folder.mkdir()
        part = replace(job, train=SomeSteps(job.train, given.steps), validation=judged)
        part = replace(part, settings=settings, folder=folder)
        return fit_tuned(part).images_per_second

    compare("training", given.rounds, lambda number: reference.train(given.steps), train)
    if given.epochs:
        reference = new_reference()
        started = time.perf_counter()
        for _ in range(epochs):
            reference.train(len(reference.loader))
        print(f"reference: {epochs} epochs in {time.perf_counter() - started:.0f} s", flush=True)
        held_out = train_box_member(run, plan, prepared, member, silent, print)
        print(f"convolve: {epochs} epochs in {held_out.seconds:.0f} s, judging after each included", flush=True)
        model = load_detection_model(run.model, compute=compute)
        tested = [dataset.samples[row] for row in held_out.judgement.rows.tolist()]
        truths, names = [truth_of(sample) for sample in tested], [sample.name for sample in tested]
        told = [reference.detect(sample.image) for sample in tested]
        for name, some in (("reference", told), ("convolve", held_out.judgement.detections)):
            figures = results(truths, some, dataset.classes, names=names)
            print(f"{name}: mAP@.5 {figures['map50']:.3f}, 95% interval {figures['map50_ci95']}", flush=True)
    else:
        job.network.pyramid.entry = 0
        network = describe_detector(plan.recipe, anchors=anchor_shapes(plan.recipe), image_hw=(side, side))
        model = DetectionModel(job.network, network, dataset.classes, plan.preprocessing, side, 0.5, compute=compute)
    paths = [dataset.samples[row].image for row in member.held_out.tolist()[: given.images]]

    def rate(detect: Callable[[Path], Detections]) -> float:
        started, _ = time.perf_counter(), [detect(path) for path in paths]
        return len(paths) / (time.perf_counter() - started)

    rate(model.detect)  # It converts the network, once it has seen enough images of a size.
    compare("testing", given.rounds, lambda number: rate(reference.detect), lambda number: rate(model.detect))


if __name__ == "__main__":
    main()
