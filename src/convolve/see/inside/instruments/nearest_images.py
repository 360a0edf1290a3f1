"""The training images nearest to an image, by what the network sees in them."""

from collections import Counter
from typing import Annotated

from pydantic import Field

from convolve.see.inside.contact_sheet import in_colours
from convolve.see.inside.gallery import Gallery, needed_gallery
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.neighbours import Neighbour, Neighbours, nearest_images
from convolve.see.inside.panel import Panel, Picture
from convolve.see.inside.subject import Question, Subject

_UNLIKE = 0.95


def _run(subject: Subject, question: Question, look: Look, *, most: Annotated[int, Field(ge=1, le=64)] = 8) -> Panel:
    """The nearest images of the gallery.

    Args:
        subject: of any task.
        question: its image, and the answer that their classes are compared with.
        look: the gallery.
        most: how many images.
    """
    gallery = needed_gallery(look.gallery, "nearest-images")
    found = nearest_images(subject, question.image, gallery, most=most, progress=look.progress)
    others = [neighbour for neighbour in found.nearest if not neighbour.same]
    answer = subject.classes[question.wanted]
    known = [gallery.truth(neighbour.row) for neighbour in others if gallery.truth(neighbour.row)]
    agreeing = sum(_has(truth, answer, several=subject.several) for truth in known)
    return Panel(
        title="Nearest training images",
        words=f"{_words(len(gallery), found)} {_agreement(known, agreeing, answer)}{_flags(gallery, found)}",
        pictures=[
            Picture(
                pixels=in_colours(gallery.pixels(neighbour.row)),
                name=f"nearest-{number + 1}",
                caption=_caption(gallery, neighbour),
            )
            for number, neighbour in enumerate(found.nearest)
        ],
        columns=4,
        numbers={
            "nearest": [
                {
                    "image": gallery.names[neighbour.row],
                    "truth": gallery.truth(neighbour.row),
                    "distance": neighbour.distance,
                    "same": neighbour.same,
                }
                for neighbour in found.nearest
            ],
            "agreeing": agreeing,
            "compared": len(known),
            "unlike": found.unlike,
        },
    )


def _has(truth: str, answer: str, *, several: bool) -> bool:
    return answer in truth.split(" + ") if several else truth == answer


def _caption(gallery: Gallery, neighbour: Neighbour) -> str:
    truth = gallery.truth(neighbour.row) or "class unknown"
    return f"{gallery.names[neighbour.row]}: {truth}, distance {neighbour.distance:.3f}"


def _words(count: int, found: Neighbours) -> str:
    return (
        f"The {len(found.nearest)} of {count} training images that the network finds most like this one: cosine "
        "distance of the features that enter its head, each feature scaled to the same spread; 0 is the same."
    )


def _agreement(known: list[str], agreeing: int, answer: str) -> str:
    if not known:
        return "Their classes are not known."
    names = ", ".join(f"{count} {truth}" for truth, count in Counter(known).most_common(4))
    rest = "" if agreeing == len(known) else f" (they are: {names})"
    return f"{agreeing} of the {len(known)} nearest are '{answer}'{rest}."


def _flags(gallery: Gallery, found: Neighbours) -> str:
    flags = ""
    twins = [gallery.names[neighbour.row] for neighbour in found.nearest if neighbour.same]
    if twins:
        flags += f" This very image is among the training images, as {', '.join(twins[:3])}: it is not counted."
    if found.unlike >= _UNLIKE:
        flags += (
            f" It is unlike them: {found.unlike:.0%} of the training images are nearer to another one than this image "
            "is to any, so the answer is a guess beyond what was learned."
        )
    return flags


INSTRUMENTS.add(
    "nearest-images",
    Instrument(
        name="nearest-images",
        order=80,
        about="the training images that the network finds most like this one, and whether their classes agree",
        of="image",
        run=_run,
    ),
)
