"""What is wrong with the false detections, what is missed, and what mending each kind would bring."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convolve.data.boxes.detections import Detections
from convolve.tasks.detect.assignment import FALSE, IGNORED, TRUE, ClassMatches
from convolve.tasks.detect.average_precision import coco_average_precision
from convolve.tasks.detect.curves import peaks
from convolve.tasks.detect.overlap import Truth, overlaps

KINDS = ("class", "localisation", "both", "duplicate", "background")
"""Of a false detection: the wrong class, too little overlap, both of it, an object found already, or nothing there."""

_CLASS, _LOCALISATION, _BOTH, _DUPLICATE, _BACKGROUND = range(len(KINDS))
_FOREGROUND, _TOUCHING = 0.5, 0.1

Counts: TypeAlias = dict[str, int]
"""Of each of `KINDS`, and "missed"."""
Gains: TypeAlias = dict[str, float]
"""Likewise."""


@dataclass(frozen=True, slots=True)
class Errors:
    """The false detections of N images, the most probable first.

    Attributes:
        probabilities: (F,) float64.
        labels: (F,) the class each was taken for.
        kinds: (F,) position in `KINDS`.
        images: (F,) which image each is of.
        places: (F,) which of its image's detections each is.
        objects: (F,) which object of its image would be found if a class or a localisation error were mended, -1 with
            the other kinds.
    """

    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    kinds: NDArray[np.int64]
    images: NDArray[np.int64]
    places: NDArray[np.int64]
    objects: NDArray[np.int64]


def find_errors(truths: Sequence[Truth], detections: Sequence[Detections], matches: Sequence[ClassMatches]) -> Errors:
    """Sort the false detections by what is wrong with them.

    In this order: an IoU in [.1, .5) with an object of the class is a localisation error, one of .5 or more with an
    object of another class a class error, with one of the class (taken, or the detection would be true) a duplicate; no
    overlap above .1 is background, and what remains is wrong in both class and place. Objects that do not count have no
    part in it.

    Args:
        truths: of N images.
        detections: of the same images.
        matches: of the same, by `assignment.match`, the first threshold .5.

    Source: Bolya et al., "TIDE: A general toolbox for identifying object detection errors", ECCV 2020, section 2.1, and
    the order of its code.
    """
    labels = np.concatenate([np.full(len(one.images), label) for label, one in enumerate(matches)])
    false = np.concatenate([one.outcomes[0, 0] == FALSE for one in matches])
    probabilities = np.concatenate([one.probabilities for one in matches])[false]
    images = np.concatenate([one.images for one in matches])[false]
    places = np.concatenate([one.places for one in matches])[false]
    labels = labels[false]
    kinds, objects = np.zeros(len(labels), np.int64), np.zeros(len(labels), np.int64)
    for image in np.unique(images).tolist():
        here = images == image
        corners = detections[image].corners[places[here]]
        kinds[here], objects[here] = _kinds(truths[image], corners, labels[here])
    order = np.argsort(-probabilities, kind="stable")
    return Errors(probabilities[order], labels[order], kinds[order], images[order], places[order], objects[order])


def count_errors(errors: Errors, matches: Sequence[ClassMatches], truths: Sequence[Truth], threshold: float) -> Counts:
    """How many there are of each kind among detections of at least this probability, and how many objects are missed.

    An object is missed that no such detection is given, and to which no class or localisation error points either.
    """
    shown = errors.probabilities >= threshold
    counts = np.bincount(errors.kinds[shown], minlength=len(KINDS))
    missed = sum(len(objects) for objects in _missed(errors, matches, truths, threshold))
    return {**dict(zip(KINDS, counts.tolist(), strict=True)), "missed": missed}


def gains(errors: Errors, matches: Sequence[ClassMatches], truths: Sequence[Truth]) -> Gains | None:
    """What mending all errors of one kind would add to the mean average precision at IoU .5; None without objects.

    A class or localisation error becomes a true detection of its object, if that is not found and by no more probable
    error of the kind; otherwise, and if it is of another kind, it goes. A missed object is no longer asked for. All
    detections take part, whatever their probability.

    Source: Bolya et al., ECCV 2020, section 2.2.
    """
    objects = np.array([int(one.truths[0].sum()) for one in matches])
    if not objects.any():
        return None
    base = _mean_precision(matches, objects, errors, mended=None, found=None)
    added = {}
    for kind, name in enumerate(KINDS):
        found = _mended(errors, matches, truths, kind) if kind in (_CLASS, _LOCALISATION) else None
        added[name] = _mean_precision(matches, objects, errors, mended=kind, found=found) - base
    missed = np.bincount(np.concatenate(_missed(errors, matches, truths, 0.0)).astype(np.int64), minlength=len(matches))
    added["missed"] = _mean_precision(matches, objects - missed, errors, mended=None, found=None) - base
    return added


def _kinds(
    truth: Truth, corners: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Kinds and objects of an image's false detections (F, 4)."""
    counted = np.flatnonzero(truth.counts)
    if not len(counted):
        return np.full(len(labels), _BACKGROUND), np.full(len(labels), -1)
    covered = overlaps(corners, truth.corners[counted])
    same = truth.labels[counted][None] == labels[:, None]
    own, other = np.where(same, covered, 0.0), np.where(same, 0.0, covered)
    own_best, other_best = own.max(axis=1), other.max(axis=1)
    # The first that holds decides.
    kinds = np.select(
        [
            (own_best >= _TOUCHING) & (own_best < _FOREGROUND),
            other_best >= _FOREGROUND,
            own_best >= _FOREGROUND,
            covered.max(axis=1) <= _TOUCHING,
        ],
        [_LOCALISATION, _CLASS, _DUPLICATE, _BACKGROUND],
        default=_BOTH,
    )
    objects = np.where(kinds == _LOCALISATION, counted[own.argmax(axis=1)], -1)
    return kinds, np.where(kinds == _CLASS, counted[other.argmax(axis=1)], objects)


def _found(matches: Sequence[ClassMatches], truths: Sequence[Truth], threshold: float) -> list[NDArray[np.bool_]]:
    """(G,) of each image: whether each object is given a detection of at least this probability."""
    found = [np.zeros(len(truth.labels), np.bool_) for truth in truths]
    for one in matches:
        true = (one.outcomes[0, 0] == TRUE) & (one.probabilities >= threshold)
        for image, given in zip(one.images[true].tolist(), one.given[0, 0, true].tolist(), strict=True):
            found[image][given] = True
    return found


def _missed(
    errors: Errors, matches: Sequence[ClassMatches], truths: Sequence[Truth], threshold: float
) -> list[NDArray[np.int64]]:
    """The classes of each image's missed objects."""
    known = _found(matches, truths, threshold)
    pointed = (errors.objects >= 0) & (errors.probabilities >= threshold)
    for image, one in zip(errors.images[pointed].tolist(), errors.objects[pointed].tolist(), strict=True):
        known[image][one] = True
    return [truth.labels[truth.counts & ~some] for truth, some in zip(truths, known, strict=True)]


def _mended(
    errors: Errors, matches: Sequence[ClassMatches], truths: Sequence[Truth], kind: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities and true classes of what the errors of a kind become."""
    found = _found(matches, truths, 0.0)
    probabilities, labels = [], []
    for number in np.flatnonzero(errors.kinds == kind).tolist():
        image, one = int(errors.images[number]), int(errors.objects[number])
        if not found[image][one]:
            found[image][one] = True
            probabilities.append(errors.probabilities[number])
            labels.append(truths[image].labels[one])
    return np.array(probabilities, np.float64), np.array(labels, np.int64)


def _mean_precision(
    matches: Sequence[ClassMatches],
    objects: NDArray[np.int64],
    errors: Errors,
    *,
    mended: int | None,
    found: tuple[NDArray[np.float64], NDArray[np.int64]] | None,
) -> float:
    """At IoU .5, without the errors of one kind, with true detections in their place.

    A class that has lost all its objects stays, with 0, as long as it has detections; that is TIDE's.
    """
    precisions = []
    for label, one in enumerate(matches):
        if not objects[label] and not (one.truths[0].any() and len(one.probabilities)):
            continue
        outcomes, probabilities = one.outcomes[0, 0].copy(), one.probabilities
        gone = (errors.labels == label) & (errors.kinds == mended)
        # Places are unique within an image: they say which of the class's detections goes.
        keys = set(zip(errors.images[gone].tolist(), errors.places[gone].tolist(), strict=True))
        if keys:
            own = zip(one.images.tolist(), one.places.tolist(), strict=True)
            outcomes[np.array([key in keys for key in own])] = IGNORED
        if found is not None:
            more = found[0][found[1] == label]
            outcomes = np.append(outcomes, np.full(len(more), TRUE, np.int8))
            probabilities = np.append(probabilities, more)
        order = np.argsort(-probabilities, kind="stable")
        precisions.append(float(np.nan_to_num(coco_average_precision(*peaks(outcomes[order], int(objects[label]))))))
    return float(np.mean(precisions)) if precisions else 0.0
