from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Figures of one class, each in [0, 1]; None where the division is by nothing.

    Attributes:
        precision: of the images called so, the share that is; None when none was called so.
        recall: of the images that are so, the share that was found; None when there is none.
        f1: the harmonic mean of the two, 2 TP / (2 TP + FP + FN); None when there is none and none was called so.
        note: why a figure is missing, or empty.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    note: str


def per_class_scores(right: int, images: int, called: int) -> ClassScores:
    """Precision, recall and F1 of one class.

    Args:
        right: images of the class that were called so.
        images: all images of the class.
        called: all images that were called so.

    Source: van Rijsbergen, "Information Retrieval", 1979, chapter 7.

    >>> per_class_scores(right=0, images=4, called=0)
    ClassScores(precision=None, recall=0.0, f1=0.0, note='never predicted')
    """
    notes = [note for note, count in (("no such images", images), ("never predicted", called)) if count == 0]
    return ClassScores(
        precision=right / called if called else None,
        recall=right / images if images else None,
        f1=2 * right / (images + called) if images + called else None,
        note=", ".join(notes),
    )
