from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageResult:
    """How one image of a split fared, for tables and for choosing examples.

    Attributes:
        truth: the true class, or the true classes joined with " + ", or "none".
        predicted: what was predicted, in the same words.
        probability: in [0, 1], of the predicted class. With several labels, of the answer that the image stands or
            falls with: its surest wrong answer, or, when all are right, its least sure one.
        right: whether the prediction is the truth.
    """

    truth: str
    predicted: str
    probability: float
    right: bool
