from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from convolve.data.augment.augmentation import build_augmentation
from convolve.data.augment.presets import PRESETS, preset_of_views
from convolve.data.preprocessing import Preprocessing
from convolve.errors import UserError
from convolve.networks.heads import fitted_numbers
from convolve.networks.network import Network
from convolve.training.pretraining import PRETRAINING, Method
from convolve.training.pretraining.pretrain import Pretraining, pretrain, some_rows, usual_epochs
from convolve.training.starts import STARTS, Division, Job, Start, Trained

BATCH_SIZE = 64


@STARTS.register("unsupervised")
class Unsupervised:
    """The backbone learns from images without labels first, then goes on as pre-trained weights do.

    It is shown the training images, and those whose labels are not used (`data.per_class`); never one that chooses or
    tests. With few labels and many images this beats training from scratch; where weights trained on millions of
    photographs suit the images, those beat it.

    Args:
        method: "vicreg" or "autoencoder".
        epochs: passes over the images without labels; 0 = by their number and the budget.
        images: how many of them are used; 0 = all, or what the budget allows.
        then: what follows: "features" (frozen, plus a classifier) or "finetune" (everything is trained).

    Raises:
        UserError: there is no such method, or it is to learn from one image.
    """

    def __init__(
        self,
        *,
        method: str = "vicreg",
        epochs: Annotated[int, Field(ge=0)] = 0,
        images: Annotated[int, Field(ge=0)] = 0,
        then: Literal["features", "finetune"] = "features",
    ) -> None:
        if images == 1:
            raise UserError("start.options.images=1: one image is too few to pre-train on", "Give 0 for all of them.")
        kind = PRETRAINING[method]
        self.method: Method = kind()
        self._name = method
        self.images = images
        self.batch_size = BATCH_SIZE
        self._epochs = epochs
        self._then: Start = STARTS[then]()

    def epochs_for(self, images: int) -> int:
        """Passes over so many images."""
        return self._epochs or usual_epochs(images)

    def divide(self, network: Network, preprocessing: Preprocessing) -> Division:
        """Pre-training changes the whole network, whatever follows."""
        return Division(frozen=None, trained=network)

    def train(self, job: Job) -> Trained:
        """Pre-train, unless that is done, then train as `then` says."""
        rows = some_rows(job.train_rows, job.unlabelled_rows, at_most=self.images, seed=job.settings.seed)
        folder = job.folder / "pretraining"
        folder.mkdir(exist_ok=True)
        views = PRESETS[preset_of_views(channels=job.preprocessing.channels, image_hw=job.preprocessing.image_hw)]
        done = pretrain(
            Pretraining(
                network=job.network,
                method=self.method,
                images=job.images,
                rows=rows,
                augmentation=build_augmentation(views, fill=job.preprocessing.fill),
                preprocessing=job.preprocessing,
                compute=job.compute,
                epochs=self.epochs_for(len(rows)),
                batch_size=self.batch_size,
                seed=job.settings.seed,
                checkpoint_seconds=job.settings.checkpoint_seconds,
                folder=folder,
                progress=job.progress,
            )
        )
        trained = self._then.train(job)
        figures = ", ".join(f"{name} {value:.3g}" for name, value in done.figures.items())
        note = f"Pre-trained without labels: {done.epochs} epochs of {done.images} images ({figures})."
        backbone = sum(parameter.numel() for parameter in job.network.backbone.parameters())
        return replace(
            trained,
            trained_parameters=backbone + fitted_numbers(trained.network.head),
            seconds=trained.seconds + done.seconds,
            method=(
                f"The backbone first learned from {done.images:,} images without their labels ({self._name}, "
                f"epochs: {done.epochs}). {trained.method}"
            ),
            notes=(note, *trained.notes),
        )
