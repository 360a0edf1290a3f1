"""What a network saw where it was wrong, for reports: Grad-CAM of the answer, and of what would have been right."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from convolve.data.decoding import BrokenImage
from convolve.errors import UserError
from convolve.see.inside.grad_cam import grad_cam
from convolve.see.inside.heat import overlay
from convolve.see.inside.subject import Question, Subject
from convolve.see.report.content import Evidence, LooksAt
from convolve.training.compute import is_out_of_memory

MOST_SHOWN = 12
_WORDS = (
    "The surest mistakes: the image, where it speaks for the answer, and where for what would have been right. Bright "
    "is much, on a scale of each picture's own; grey all over is nothing. The maps (Grad-CAM: Selvaraju et al., ICCV "
    "2017; of boxes and regions HiResCAM: Draelos and Carin 2020) are as coarse as the layer they are read from, and "
    "show where it looks, not whether it looks at the right thing there. `convolve explain` has more instruments, for "
    "any image."
)


def evidence(subject: Subject, question: Question, probability: float) -> Evidence:
    """What speaks for an answer, and for the truth.

    Args:
        subject: the network.
        question: `wanted` is the answer that was given.
        probability: of it.

    Raises:
        UserError: the network has no maps, or no gradients.
    """
    asked = [question.wanted] if question.truth is None else [question.wanted, question.truth]
    images = question.image[None].expand(len(asked), -1, -1, -1)
    maps: Tensor = grad_cam(subject, images, torch.tensor(asked))
    drawn = [overlay(question.picture, one) for one in maps]
    return Evidence(
        name=question.name,
        predicted=subject.classes[question.wanted],
        truth="" if question.truth is None else subject.classes[question.truth],
        probability=probability,
        image=question.picture,
        for_answer=drawn[0],
        for_truth=drawn[1] if len(drawn) > 1 else None,
    )


def looks_at(find: Callable[[], Sequence[tuple[Subject, Question, float]]]) -> LooksAt:
    """The section of a report; where it cannot be made, the report says why.

    Args:
        find: gives of each mistake the network that made it, the question and the answer's probability, the surest
            first.
    """
    try:
        asked = find()
        if not asked:
            return LooksAt(words="There is no mistake to look into.")
        return LooksAt(words=_WORDS, mistakes=[evidence(*one) for one in asked[:MOST_SHOWN]])
    except UserError as error:
        return LooksAt(words=f"Nothing can be shown: {error.problem}. {error.remedy}")
    except (BrokenImage, RuntimeError) as error:
        # The training is finished, and its report must not fail for want of memory, or of an image that has gone.
        if not isinstance(error, BrokenImage) and not is_out_of_memory(error):
            raise
        return LooksAt(words=f"Nothing can be shown: {str(error).splitlines()[0]}.")
