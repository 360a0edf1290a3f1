"""Random annotated images with detections as a detector makes them: near objects, doubled, misnamed, anywhere."""

import numpy as np

from convolve.data.boxes.detections import Detections
from convolve.data.dataset import Box, Boxes

HW = (400, 500)


def boxes_in_image(generator, count):
    """Of all three of COCO's sizes, on whole pixels, so that IoUs hit thresholds exactly."""
    wh = np.round(np.exp(generator.uniform(np.log(8), np.log(200), (count, 2))))
    xy = np.round(generator.uniform(0, 200, (count, 2)))
    return np.hstack([xy, xy + wh])


def detections_of(corners, labels, probabilities):
    order = np.argsort(-np.asarray(probabilities, float), kind="stable")
    return Detections(
        np.asarray(corners, float).reshape(-1, 4)[order],
        np.asarray(labels, np.int64)[order],
        np.asarray(probabilities, float)[order],
    )


def image(seed, *, classes=3, crowds=0.1, difficult=0.0, most=12, noise=0.15, ties=True):
    """(Boxes, Detections); some images have no objects, some no detections."""
    generator = np.random.default_rng(seed)
    objects = generator.integers(0, most) if seed % 7 else 0
    corners, labels = boxes_in_image(generator, objects), generator.integers(0, classes, objects)
    kinds = generator.choice(["object", "crowd", "difficult"], objects, p=[1 - crowds - difficult, crowds, difficult])
    truth = Boxes(
        HW, tuple(Box(*one) for one in zip(labels.tolist(), map(tuple, corners.tolist()), kinds.tolist(), strict=True))
    )
    if seed % 11 == 5:
        return truth, detections_of([], [], [])
    near = generator.integers(0, objects, 2 * objects) if objects else np.zeros(0, np.int64)
    sides = np.tile(corners[near, 2:] - corners[near, :2], 2)
    moved = np.round(corners[near] + generator.normal(0, noise, sides.shape) * sides)
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    anywhere = boxes_in_image(generator, 5)
    named = np.where(generator.random(len(near)) < 0.85, labels[near], generator.integers(0, classes, len(near)))
    probabilities = generator.random(len(near) + 5)
    return truth, detections_of(
        np.vstack([moved, anywhere]),
        np.concatenate([named, generator.integers(0, classes, 5)]),
        # Coarse, so that many are equal.
        np.round(probabilities, 2 if ties else 15),
    )


def images(count, **how):
    pairs = [image(seed, **how) for seed in range(count)]
    return [truth for truth, _ in pairs], [found for _, found in pairs]
