"""Numbers as a reader wants them."""

from collections.abc import Sequence

_DASH = "\N{EN DASH}"


def percent(share: float | None, decimals: int = 1) -> str:
    """A share in [0, 1] as a percentage; a dash for None.

    >>> percent(0.887), percent(0.00123, 2), percent(None)
    ('88.7 %', '0.12 %', '–')
    """
    return _DASH if share is None else f"{100 * share:.{decimals}f} %"


def percent_range(interval: Sequence[float]) -> str:
    """Two shares in [0, 1] as a range of percentages.

    >>> percent_range([0.853, 0.918])
    '85.3–91.8 %'
    """
    low, high = interval
    return f"{100 * low:.1f}{_DASH}{100 * high:.1f} %"


def figure(value: float | None) -> str:
    """A number to three decimals; a dash for None.

    >>> figure(0.34567), figure(None)
    ('0.346', '–')
    """
    return _DASH if value is None else f"{value:.3f}"


def figures(values: float | Sequence[float]) -> str:
    """One number or several, each to three decimals.

    >>> figures(1.5), figures([1.0, 2.0])
    ('1.500', '1.000, 2.000')
    """
    return ", ".join(map(figure, values)) if isinstance(values, Sequence) else figure(values)


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them.

    >>> [duration(seconds) for seconds in (0.25, 59.96, 3600, 90000)]
    ['0.2 s', '1 min 0 s', '1 h 0 min', '25 h 0 min']
    """
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        return "{} min {} s".format(*divmod(round(seconds), 60))
    return "{} h {} min".format(*divmod(round(seconds / 60), 60))


def counted(count: int, noun: str) -> str:
    """A count with its noun, in the plural where there is not one.

    >>> counted(1, "image"), counted(1234, "image"), counted(2, "class")
    ('1 image', '1,234 images', '2 classes')
    """
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def score_words(name: str) -> str:
    """A score's name in results as a reader wants it.

    >>> score_words("balanced_accuracy"), score_words("mean_iou")
    ('balanced accuracy', 'mean IoU')
    """
    return name.replace("_", " ").replace("iou", "IoU")


def unbroken(text: str) -> str:
    """The same text, with spaces that no line breaks at before its percent signs."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")
