"""Reports of made-up runs on masks, to render and to read; their figures are scikit-learn's."""

import numpy as np
from skimage.data import binary_blobs
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score, precision_score, recall_score

from convolve.see.report.content import DataSummary, Member
from convolve.see.report.segmentation_content import PixelExample, PixelNetworkFacts, SegmentationReport

RECIPE = """\
seed = 0

[data]
path = "fields"

[segment]
name = "fcn-8s"
sampling = "classes"
erode = 0

[train]
epochs = 3
batch_size = 4

[optimiser]
name = "adamw"
lr = 0.001

[loss]
name = "softmax"
class_weights = "median-frequency"
"""

CLASSES = ("ground", "tree", "roof")
COLOURS = ((230, 159, 0), (0, 158, 115), (0, 114, 178))


def example(seed=0, *, side=96, classes=3, wrong=0.1, entropy=True):
    """A mask of blobs, with ignored pixels at the top, and a prediction of which a share is wrong."""
    generator = np.random.default_rng(seed)
    truth = np.zeros((side, side + 16), np.uint8)
    for index in range(1, classes):
        blobs = binary_blobs(side + 16, blob_size_fraction=0.3, volume_fraction=0.3, rng=seed * 100 + index)
        truth[blobs[:side]] = index
    predicted = truth.copy()
    flipped = generator.random(truth.shape) < wrong
    predicted[flipped] = (truth[flipped] + 1) % classes
    image = np.uint8(40 + 60 * truth[..., None] + generator.integers(0, 30, (*truth.shape, 3)))
    truth = truth.copy()
    truth[:6] = 255
    certain = np.where(flipped, 0.9, 0.2).astype(np.float32)
    counted = truth != 255
    return PixelExample(
        name=f"fields/tile {seed}.png",
        image=image,
        truth=truth,
        predicted=predicted,
        entropy=certain if entropy else None,
        pixel_accuracy=float((truth == predicted)[counted].mean()),
        mean_iou=float(jaccard_score(truth[counted], predicted[counted], average="macro")),
    )


def results_of(examples, classes=CLASSES, **changes):
    truth = np.concatenate([one.truth.ravel() for one in examples])
    predicted = np.concatenate([one.predicted.ravel() for one in examples])
    predicted, truth = predicted[truth != 255], truth[truth != 255]
    labels = range(len(classes))
    scores = {
        key: function(truth, predicted, labels=labels, average=None, zero_division=0).tolist()
        for key, function in (
            ("iou", jaccard_score),
            ("f1", f1_score),
            ("precision", precision_score),
            ("recall", recall_score),
        )
    }
    pixels = np.bincount(truth, minlength=len(classes))
    mean_iou = float(np.mean([iou for iou, count in zip(scores["iou"], pixels, strict=True) if count]))
    per_class = [
        {
            "class": name,
            "pixels": int(pixels[index]),
            "share": float(pixels[index] / pixels.sum()),
            "iou": scores["iou"][index] if pixels[index] else None,
            "iou_ci95": [0.9 * scores["iou"][index], scores["iou"][index]] if pixels[index] else None,
            "f1": scores["f1"][index] if pixels[index] else None,
            "precision": scores["precision"][index] if pixels[index] else None,
            "recall": scores["recall"][index] if pixels[index] else None,
            "images": sum(bool((one.truth == index).any()) for one in examples),
            "note": "" if pixels[index] else "does not occur",
        }
        for index, name in enumerate(classes)
    ]
    content = {
        "n": len(examples),
        "pixels": len(truth),
        "ignored_pixels": sum(int((one.truth == 255).sum()) for one in examples),
        "pixel_accuracy": float((truth == predicted).mean()),
        "pixel_accuracy_ci95": [0.85, 0.95],
        "mean_accuracy": float(np.mean(scores["recall"])),
        "mean_iou": mean_iou,
        "mean_iou_ci95": [mean_iou - 0.02, mean_iou + 0.01],
        "mean_iou_ci95_method": f"percentile bootstrap over {len(examples)} images, 2,000 resamples",
        "mean_image_iou": mean_iou,
        "frequency_weighted_iou": mean_iou,
        "per_class": per_class,
        "confusion": confusion_matrix(truth, predicted, labels=labels).tolist(),
        "nll": 0.4,
        "brier": 0.2,
        "calibration_error": 0.03,
        "calibration_error_per_class": {name: 0.01 * index if index else None for index, name in enumerate(classes)},
        "reliability": [{"confidence": c, "accuracy": c - 0.05, "n": 1000} for c in (0.45, 0.7, 0.95)],
        "retained": [{"share": 1 - s, "accuracy": 0.9 + s / 10} for s in (0, 0.05, 0.1, 0.2, 0.5)],
        "least_certain": [{"share": s, "errors": min(1, 4 * s)} for s in (0.05, 0.1, 0.2, 0.5)],
        "auroc": 0.91,
        "per_image": [
            {"name": one.name, "pixel_accuracy": one.pixel_accuracy, "mean_iou": one.mean_iou} for one in examples
        ],
    }
    return content | changes


def sample(classes=CLASSES, *, results=None, colours=None, **changes):
    examples = [example(seed, classes=min(3, len(classes))) for seed in range(4)]
    shares = [1 / len(classes)] * len(classes)
    content = {
        "title": "segment/fields",
        "command": "convolve train fields segment=fcn-8s seed=0",
        "created": "24 November 2026, 04:20",
        "recipe_toml": RECIPE,
        "data": DataSummary(
            name="fields",
            form="image/mask pairs",
            classes=classes,
            counts={split: [n] * len(classes) for split, n in (("train", 36), ("validation", 4), ("test", 4))},
            images={"train": 36, "validation": 4, "test": 4},
            left_out=[("fields/broken.png", "the mask has 3 x 4 pixels and the image 4 x 4")],
            left_out_count=1,
        ),
        "colours": colours or [COLOURS[index % 3] for index in range(len(classes))],
        "pixel_shares": dict.fromkeys(("train", "validation", "test"), shares),
        "network": PixelNetworkFacts(
            name="resnet18",
            source="He et al., CVPR 2016",
            parameters=11_178_051,
            trained_parameters=11_178_051,
            weights="ImageNet-1k",
            licence="BSD-3-Clause",
            start="finetune",
            method="All of its parameters were fine-tuned.",
            rung="fcn-8s",
            rung_about="scores of three depths, added up and enlarged",
            rung_source="Long et al., CVPR 2015",
            channels=3,
            scale=1.0,
            crop=96,
            trained_on="crops",
        ),
        "results": results or results_of(examples, classes),
        "split": "test",
        "reasons": ("segment.crop: images are 96 x 112 pixels (median).",),
        "history": [
            {
                "epoch": epoch,
                "train_loss": 1 / epoch,
                "validation": {"loss": 0.2 + 1 / epoch, "mean_iou": 0.9 - 0.5 / epoch},
                "learning_rate": 1e-3,
                "seconds": 2.5,
            }
            for epoch in range(1, 4)
        ],
        "best_epoch": 3,
        "worst": examples[:2],
        "typical": examples[2:],
        "timings": {"training": 95.0},
        "environment": {"python": "3.11.2", "gpus": [], "packages": {"convolve": "0.1.0", "torch": "2.14.0"}},
    }
    return SegmentationReport(**content | changes)


def folds(count=3):
    return [
        Member(f"fold {number}", results_of([example(number, wrong=0.05 * number)])) for number in range(1, count + 1)
    ]
