"""A map of the training images by what the network sees in them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from convolve.see.inside.embedding import (
    LEAST,
    Misfit,
    embedded,
    misfits,
    near_on_map,
    neighbour_rows,
    perplexity_of,
    same_class_share,
)
from convolve.see.inside.features import gallery_features
from convolve.see.inside.gallery import needed_gallery
from convolve.see.inside.gallery_charts import embedding_chart
from convolve.see.inside.instruments import INSTRUMENTS, Instrument, Look
from convolve.see.inside.panel import Panel
from convolve.see.inside.subject import Subject

_MOST_LISTED = 20


def _run(subject: Subject, look: Look, *, at_most: Annotated[int, Field(ge=LEAST, le=5000)] = 1500) -> Panel:
    """The map, and the images whose class their neighbours do not have.

    Args:
        subject: of any task.
        look: the gallery and the seed.
        at_most: images on the map, evenly spread over the gallery.
    """
    gallery = needed_gallery(look.gallery, "embedding-map", least=LEAST)
    rows = gallery.rows(at_most)
    truths, names = [gallery.truth(row) for row in rows], [gallery.names[row] for row in rows]
    features = gallery_features(subject, gallery, rows=rows, progress=look.progress)
    look.progress("drawing the map of the images", 0, 1)
    places = embedded(features, seed=look.seed)
    look.progress("drawing the map of the images", 1, 1)
    neighbours = neighbour_rows(features)
    odd = misfits(neighbours, truths)
    share = same_class_share(neighbours, truths)
    numbers: dict[str, Any] = {
        "images": len(rows),
        "perplexity": perplexity_of(len(rows)),
        "same_class_neighbours": share,
        "same_class_nearest_on_map": same_class_share(near_on_map(places)[:, None], truths),
        "by_chance": _by_chance(truths),
        "misfits": [
            {"image": names[one.row], "truth": truths[one.row], "other": one.other, "agreeing": one.agreeing}
            for one in odd
        ],
    }
    return Panel(
        title="Map of the images",
        words=_words(len(rows), len(gallery), numbers, odd, neighbours.shape[1]),
        charts=[embedding_chart(places, truths, [one.row for one in odd])],
        table=_table(odd, names, truths, neighbours.shape[1]) if odd else None,
        numbers=numbers,
        source="van der Maaten and Hinton, Visualizing Data using t-SNE, JMLR 9 (2008)",
    )


def _by_chance(truths: Sequence[str]) -> float | None:
    """The share of same-class pairs among all pairs of two images with a class."""
    counts = Counter(truth for truth in truths if truth).values()
    whole = sum(counts)
    return sum(count * (count - 1) for count in counts) / (whole * (whole - 1)) if whole > 1 else None


def _table(
    odd: Sequence[Misfit], names: Sequence[str], truths: Sequence[str], neighbours: int
) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    rows = [
        (names[one.row], truths[one.row], one.other, f"{one.agreeing} of {neighbours}") for one in odd[:_MOST_LISTED]
    ]
    return ("image", "its class", "class of its neighbours", "so many of them"), rows


def _words(shown: int, whole: int, numbers: Mapping[str, Any], odd: Sequence[Misfit], neighbours: int) -> str:
    images = f"all {shown} images" if shown == whole else f"{shown} of {whole} images, evenly chosen"
    words = (
        f"Each point is one of {images}, placed by t-SNE (perplexity {numbers['perplexity']:.3g}) of the features that "
        "enter the network's head. Near points are alike to the network; distances between far groups, and the sizes "
        "of groups, mean nothing."
    )
    share, chance = numbers["same_class_neighbours"], numbers["by_chance"]
    if share is None or chance is None:
        return f"{words} The images' classes are not known."
    words += (
        f" Of an image's {neighbours} nearest by features, {share:.0%} have its class (mixed at random: {chance:.0%})."
    )
    if not odd:
        return f"{words} No image stands among those of one other class."
    more = f", the clearest {_MOST_LISTED} listed" if len(odd) > _MOST_LISTED else ""
    return (
        f"{words} Ringed: {len(odd)} whose neighbours nearly all have one other class{more}; "
        "look at their labels, they may be wrong."
    )


INSTRUMENTS.add(
    "embedding-map",
    Instrument(
        name="embedding-map",
        order=90,
        about="a map of the training images by their features (t-SNE), and those whose label may be wrong",
        of="network",
        run=_run,
    ),
)
