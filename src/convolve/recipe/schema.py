"""The recipe: everything that decides a training, typed, bounded and described once.

A field's description is its comment in a written recipe, its line in the JSON schema and its help; its bounds make the
error messages.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from convolve.recipe.values import parse_duration

Auto: TypeAlias = Literal["auto"]
Option: TypeAlias = bool | int | float | str | list[int] | list[float] | list[str]
Duration: TypeAlias = Annotated[
    float, BeforeValidator(parse_duration, json_schema_input_type=float | str), Field(gt=0, strict=True)
]
"""Seconds; written as 90, "90s", "10m", "1.5h" or "none"."""


def _preset(value: Any) -> Any:
    return {"preset": value} if isinstance(value, str) else value


Augmentations: TypeAlias = Annotated[dict[str, bool | float | str | dict[str, Option]], BeforeValidator(_preset)]


class Section(BaseModel):
    """A table of the recipe; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Named(Section):
    """A table whose first key is a part's name: `optimiser = "sgd"` is short for `optimiser.name = "sgd"`."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {next(iter(cls.model_fields)): value} if isinstance(value, str) else value


class DataSection(Named):
    """The images, and how they are brought to the network's size."""

    path: str = Field(min_length=1, description="folder, archive, table or IDX file, or a built-in name: digits, elpv")
    missing: Literal["error", "skip"] = Field("error", description="rows that name missing files: error or skip")
    per_class: int = Field(
        0,
        ge=0,
        description="use the labels of so many training images a class; the others count as unlabelled; 0 = all",
    )
    image_size: Auto | Annotated[int, Field(ge=1, le=4096)] = Field(
        "auto", description="pixels a side; auto = by network"
    )
    fit: Literal["auto", "pad", "crop", "stretch"] = Field(
        "auto", description="how a shape becomes square: pad, crop or stretch; auto = by the images' shapes"
    )
    validation: Auto | Annotated[float, Field(gt=0, lt=1)] = Field(
        "auto", description="share kept for choosing, where the data has no such split"
    )
    test: Auto | Annotated[float, Field(ge=0, lt=1)] = Field(
        "auto", description="share kept for the final figure, where the data has no such split"
    )
    test_groups: list[str] = Field(
        default_factory=list, description="groups (folders, sites, patients) kept for the final figure, by name"
    )
    bands: Auto | list[Annotated[int, Field(ge=1)]] = Field(
        "auto", description="for masks: the bands of a raster that are used, counted from 1; auto = all"
    )


class MasksSection(Section):
    """What the values of mask files mean, where they do not say it themselves."""

    coding: Literal["auto", "index", "binary", "colour"] = Field(
        "auto",
        description="index (a pixel's value is its class), binary (0 and anything else), colour; auto = by the masks",
    )
    classes: Auto | list[str] | str = Field(
        "auto", description="class names in order, or a file with them and their values or colours; auto = file beside"
    )
    values: list[int] | list[str] = Field(
        default_factory=list, description='value or colour ("60,16,152" or "#3c1098") of each class, in their order'
    )
    ignore: Auto | list[int] | list[str] = Field(
        "auto", description="values, colours or class names that count nowhere; auto = 255, void, unlabelled, ignore"
    )


class SegmentSection(Named):
    """Where every pixel has a class: how scores become a map, and what it is trained on."""

    name: str = Field(
        "auto", description="a rung of the ladder: patch, dense, fcn-32s, fcn-16s, fcn-8s or unet; auto = unet"
    )
    options: dict[str, Option] = Field(default_factory=dict, description="the rung's own options")
    scale: float = Field(
        1.0, gt=0, le=4, description="images are resized by this before the network, maps back after it"
    )
    crop: Auto | Annotated[int, Field(ge=8, le=4096)] = Field(
        "auto", description="side of the training crops, pixels after scaling; auto = whole images up to 512 a side"
    )
    sampling: Literal["auto", "uniform", "classes"] = Field(
        "auto", description="where crops are cut: uniform, or classes (around a pixel of a class drawn first)"
    )
    crops: Auto | Annotated[int, Field(ge=1)] = Field("auto", description="crops of each training image an epoch")
    erode: int = Field(
        0, ge=0, le=100, description="pixels left out of the figures on either side of a border between classes"
    )


class DetectSection(Named):
    """Where objects have boxes: what finds them, at which size."""

    name: str = Field("auto", description="a rung of the ladder: rcnn, fast, faster or onestage; auto = faster")
    options: dict[str, Option] = Field(default_factory=dict, description="the rung's own options")
    side: Auto | Annotated[int, Field(ge=32, le=16384)] = Field(
        "auto", description="longest side of an image at the network's input, pixels; auto = by the boxes' sizes"
    )
    crop: Auto | Annotated[int, Field(ge=32, le=4096)] = Field(
        "auto", description="side of training crops and of tiles where the input is larger; auto = whole up to 1024"
    )
    rare: float = Field(
        0.1, ge=0, le=1, description="classes that a smaller share of the images show are shown more often; 0 = none"
    )
    anchor_sizes: Auto | Annotated[list[Annotated[float, Field(ge=1, le=16384)]], Field(min_length=1)] = Field(
        "auto", description="square roots of the anchors' areas, pixels of the input; auto = by the boxes"
    )
    anchor_ratios: Auto | Annotated[list[Annotated[float, Field(ge=0.01, le=100)]], Field(min_length=1)] = Field(
        "auto", description="heights of the anchors by their widths; auto = by the boxes"
    )
    classifier: Literal["softmax", "svm"] = Field(
        "softmax", description="of regions: softmax, or svm (R-CNN's support vector machines, fitted after training)"
    )
    proposals: Literal["fast", "quality"] = Field(
        "fast", description="for rcnn and fast: how thorough selective search is"
    )
    nms_iou: float = Field(
        0.5, gt=0, le=1, description="of two boxes of a class that overlap more, the less probable one is dropped"
    )
    soft_nms: Literal["none", "linear", "gaussian"] = Field(
        "none", description="linear or gaussian: overlapping boxes lose probability instead"
    )
    min_probability: float = Field(0.01, ge=0, lt=1, description="less probable boxes are dropped")
    max_boxes: int = Field(100, ge=1, le=10000, description="at most so many boxes an image, or a tile")


class NetworkSection(Named):
    """The network and the weights it starts from."""

    name: str = Field("auto", description="see `convolve zoo`; also timm:NAME and torchvision:NAME")
    weights: str = Field(
        "auto",
        description="auto (packaged, if installed), none, hub (online), a finished run, or a .safetensors or .pth file",
    )
    options: dict[str, Option] = Field(default_factory=dict, description="the network's own options")


class StartSection(Named):
    """Where training begins, and what is trained: a rung of the transfer ladder."""

    name: str = Field(
        "auto", description="scratch, unsupervised, finetune, features (frozen, plus a classifier), or a finished run"
    )
    options: dict[str, Option] = Field(default_factory=dict, description="the start's own options")


class TrainSection(Section):
    """How long and in what portions."""

    epochs: Auto | Annotated[int, Field(ge=1)] = Field("auto", description="passes over the training images")
    batch_size: Auto | Annotated[int, Field(ge=1)] = Field("auto", description="images per forward pass")
    accumulate: int = Field(1, ge=1, description="forward passes per step of the optimiser")
    clip_norm: float = Field(0.0, ge=0, description="largest L2 norm of the gradient; 0 = no limit")
    average: float = Field(0.0, ge=0, lt=1, description="decay per step of averaged weights (EMA); 0 = none")
    patience: int = Field(0, ge=0, description="stop after so many epochs without a better score; 0 = never")
    checkpoint: Duration = Field(60.0, description="at most so long between two checkpoints, besides one each epoch")


class OptimiserSection(Named):
    """The step."""

    name: str = Field("auto", description="sgd, adamw, or saddle-free-newton for small networks")
    lr: Auto | Annotated[float, Field(gt=0)] = Field("auto", description="highest learning rate")
    weight_decay: Auto | Annotated[float, Field(ge=0)] = Field(
        "auto", description="penalty: the gradient of weight_decay/2 * |W|^2; none on biases and norm layers"
    )
    options: dict[str, Option] = Field(default_factory=dict, description="the optimiser's own options")


class ScheduleSection(Named):
    """How the learning rate moves."""

    name: str = Field("cosine", description="constant, step, cosine, one-cycle or plateau")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of all steps spent rising to the peak")
    options: dict[str, Option] = Field(default_factory=dict, description="the schedule's own options")


class LossSection(Named):
    """What is minimised."""

    name: Literal["auto", "softmax", "focal", "dice", "softmax+dice"] = Field(
        "auto", description="for masks: softmax, focal, dice or softmax+dice; auto = softmax"
    )
    class_weights: Literal["auto", "none", "sqrt", "balanced", "median-frequency"] = Field(
        "auto",
        description="none, balanced (classes count alike), sqrt (halfway) or, for masks, median-frequency; auto = sqrt "
        "if counts differ over 3 times (masks: pixels over 10 times)",
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target spread over all classes")


class ComputeSection(Section):
    """How the work is done; auto = measured on this machine before training."""

    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps")
    memory_format: Literal["auto", "contiguous", "channels_last"] = Field(
        "auto", description="layout of images in memory"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of activations; weights stay float32"
    )
    engine: Literal["auto", "torch", "openvino"] = Field(
        "auto", description="what runs layers that are not trained: torch or openvino; auto = openvino on CPUs"
    )
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile")


class Recipe(Section):
    """Everything that decides a training."""

    data: DataSection
    task: Literal["auto", "classify", "segment", "detect"] = Field(
        "auto", description="what to predict; auto = by the data"
    )
    masks: MasksSection = Field(default_factory=MasksSection)
    segment: SegmentSection = Field(default_factory=SegmentSection)
    detect: DetectSection = Field(default_factory=DetectSection)
    network: NetworkSection = Field(default_factory=NetworkSection)
    start: StartSection = Field(default_factory=StartSection)
    train: TrainSection = Field(default_factory=TrainSection)
    optimiser: OptimiserSection = Field(default_factory=OptimiserSection)
    schedule: ScheduleSection = Field(default_factory=ScheduleSection)
    loss: LossSection = Field(default_factory=LossSection)
    augment: Augmentations = Field(
        default={"preset": "auto"},
        description="preset = auto, none, digits, photos, scenes, objects, objects_symmetric, symmetric, "
        "views_of_digits or views_of_photos; then one key an augmentation, e.g. rotate = 15",
    )
    compute: ComputeSection = Field(default_factory=ComputeSection)
    budget: Duration | Literal["none"] = Field(
        600.0, description='time for the training: 90s, 10m, 2h or "none"; fewer epochs are run to keep it'
    )
    folds: Auto | Annotated[int, Field(ge=0, le=100)] = Field(
        "auto", description="cross-validation; 0 = one split into training, validation and test"
    )
    seeds: int = Field(1, ge=1, le=100, description="trainings that differ in the seed alone, to see the spread")
    seed: int = Field(0, ge=0, lt=2**31, description="decides splits, initial weights, order and augmentation")
