"""Reports of made-up runs on boxes, to render and to read."""

import numpy as np

from convolve.see.box_drawing import BoxMark, BoxPicture, cut_out
from convolve.see.report.content import DataSummary, Member
from convolve.see.report.detection_content import BoxExample, DetectionReport, DetectorFacts

RECIPE = """\
seed = 0

[data]
path = "bccd"

[detect]
name = "faster"

[train]
epochs = 3
batch_size = 4

[optimiser]
name = "adamw"
lr = 0.001
"""

CLASSES = ("Platelets", "RBC", "WBC")
SIZES = {"Platelets": 14, "RBC": 34, "WBC": 60}
KINDS_OF_ERRORS = ("class", "localisation", "both", "duplicate", "background", "missed")
KINDS = ("found", "found", "found", "found", "false alarm", "missed")


def picture(seed=0, *, count=12, hw=(180, 240), classes=CLASSES):
    """Discs on a pale ground, a box each, of kinds in turn."""
    generator = np.random.default_rng(seed)
    height, width = hw
    rows, columns = np.ogrid[:height, :width]
    image = np.full((height, width, 3), (235, 225, 230), np.uint8)
    marks = []
    for place in range(count):
        name = classes[int(generator.integers(len(classes)))]
        side = SIZES.get(name, 30)
        x, y = (float(generator.uniform(0, length - side)) for length in (width, height))
        kind = KINDS[place % len(KINDS)]
        inside = (rows - y - side / 2) ** 2 + (columns - x - side / 2) ** 2 < side**2 / 4
        if kind != "false alarm":
            image[inside] = {"WBC": (120, 60, 160), "Platelets": (150, 90, 190)}.get(name, (225, 150, 150))
        probability = None if kind == "missed" else float(generator.uniform(0.5, 1))
        note = "IoU 0.31 with RBC" if kind == "false alarm" else ""
        marks.append(BoxMark((x, y, x + side, y + side), kind, name, probability, note=note))
    return BoxPicture(f"JPEGImages/BloodImage_{seed:05d}.jpg", image, tuple(marks))


def example(seed=0, **changes):
    shown = picture(seed, **changes)
    counts = [sum(mark.kind == kind for mark in shown.marks) for kind in ("found", "missed", "false alarm")]
    return BoxExample(shown, *counts)


def pieces(kind, count=6):
    cut = []
    for seed in range(count):
        whole = picture(seed)
        place = next(place for place, mark in enumerate(whole.marks) if mark.kind == kind)
        cut.append(cut_out(whole, place))
    return cut


def results_of(classes=CLASSES, images=72, **changes):
    """Figures of one run, near those of BCCD."""
    generator = np.random.default_rng(0)
    recall = np.linspace(0, 0.97, 30)
    per_class = {}
    for place, name in enumerate(classes):
        ap50 = (0.88, 0.91, 0.987)[place % 3]
        precision = (1 - (1.2 - ap50) * recall**8).clip(0, 1)
        per_class[name] = {
            "images": 60,
            "objects": (76, 819, 72)[place % 3],
            "ap50": ap50,
            "ap50_ci95": [ap50 - 0.05, min(1.0, ap50 + 0.03)],
            "ap": ap50 - 0.3,
            "precision": float(precision[27]),
            "recall": float(recall[27]),
            "f1": float(2 * precision[27] * recall[27] / (precision[27] + recall[27])),
            "curve": {"recall": recall.tolist(), "precision": precision.tolist()},
        }
    per_image = []
    for row in range(images):
        objects = int(generator.poisson(13))
        missed = min(objects, int(generator.poisson(0.9)))
        false_alarms = int(generator.poisson(0.8))
        found = objects - missed
        per_image.append(
            {
                "name": f"JPEGImages/BloodImage_{row:05d}.jpg",
                "objects": objects,
                "found": found,
                "missed": missed,
                "false_alarms": false_alarms,
                "f1": 2 * found / max(1, 2 * found + missed + false_alarms),
            }
        )
    content = {
        "n": images,
        "objects": sum(row["objects"] for row in per_image),
        "map50": float(np.mean([row["ap50"] for row in per_class.values()])),
        "map50_ci95": [0.897, 0.948],
        "ci95_method": f"percentile bootstrap over {images} images, 1,000 resamples",
        "groups": None,
        "uncounted_objects": 3,
        "map": 0.612,
        "map_ci95": [0.58, 0.64],
        "map75": 0.701,
        "map_by_size": {"small": 0.42, "medium": 0.63, "large": 0.71},
        "average_recall_100": 0.7,
        "voc_2007_map50": 0.89,
        "threshold": 0.55,
        "threshold_by": "given",
        "precision": 0.951,
        "recall": 0.934,
        "f1": 0.942,
        "per_class": per_class,
        "proposal_recall": 0.991,
        "proposals": {
            "regions_per_image": 298.6,
            "top100": {"recall_50": 0.95, "recall_70": 0.81, "mean_average_best_overlap": 0.77},
            "top300": {"recall_50": 0.991, "recall_70": 0.9, "mean_average_best_overlap": 0.81},
            "average_best_overlap": dict.fromkeys(classes, 0.81),
            "mean_average_best_overlap": 0.81,
        },
        "errors": {
            "counts": dict(zip(KINDS_OF_ERRORS, (4, 31, 1, 7, 58, 22), strict=True)),
            "map50_gains": dict(zip(KINDS_OF_ERRORS, (0.004, 0.021, 0.0, 0.003, 0.032, 0.018), strict=True)),
        },
        "per_image": per_image,
    }
    return content | changes


def sample(classes=CLASSES, *, results=None, **changes):
    content = {
        "title": "detect/bccd",
        "command": "convolve train bccd detect=faster seed=0",
        "created": "24 November 2026, 04:20",
        "recipe_toml": RECIPE,
        "data": DataSummary(
            name="bccd",
            form="Pascal VOC",
            classes=classes,
            counts={split: [n] * len(classes) for split, n in (("train", 205), ("validation", 87), ("test", 72))},
            images={"train": 205, "validation": 87, "test": 72},
            left_out=[("Annotations/BloodImage_00113.xml, object 3", "the box has no area")],
            left_out_count=1,
            licence="MIT",
        ),
        "network": DetectorFacts(
            name="resnet18",
            source="He et al., CVPR 2016",
            parameters=17_178_051,
            trained_parameters=17_178_051,
            weights="ImageNet-1k",
            licence="BSD-3-Clause",
            start="finetune",
            method="All of its parameters were fine-tuned.",
            rung="faster",
            rung_about="a region proposal network on the map that the classifier shares",
            rung_source="Ren et al., NeurIPS 2015",
            channels=3,
            side=640,
            proposals="300 of a region proposal network",
            anchors="sides of 32, 64, 128 and 256 pixels, heights by widths of 0.5, 1 and 2",
            suppression="of two of a class that overlap by more than IoU 0.5 the less probable one is dropped",
        ),
        "results": results or results_of(classes),
        "split": "test",
        "reasons": ("detect.side: boxes are 14 to 60 pixels (90 % of them), so images are not shrunk.",),
        "history": [
            {
                "epoch": epoch,
                "train_loss": 1 / epoch,
                "validation": {"loss": 0.2 + 1 / epoch, "map50": 0.9 - 0.5 / epoch, "map": 0.6 - 0.4 / epoch},
                "learning_rate": 1e-3,
                "seconds": 25.0,
            }
            for epoch in range(1, 4)
        ],
        "best_epoch": 3,
        "worst": [example(seed) for seed in range(3)],
        "random": [example(seed, count=30) for seed in range(3, 6)],
        "false_alarms": pieces("false alarm"),
        "missed": pieces("missed"),
        "timings": {"training": 95.0, "testing": 12.0},
        "environment": {"python": "3.11.2", "gpus": [], "packages": {"convolve": "0.1.0", "torch": "2.14.0"}},
    }
    return DetectionReport(**content | changes)


def folds(count=3):
    return [Member(f"fold {number}", results_of(map50=0.9 - 0.01 * number)) for number in range(1, count + 1)]
