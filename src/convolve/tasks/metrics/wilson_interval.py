import math
from statistics import NormalDist


def wilson_interval(correct: float, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds on a true proportion, given that `correct` of `total` independent images were right.

    Stays within [0, 1] and holds for a handful of images, where "accuracy +- 2 standard errors" does neither.

    Args:
        correct: 0 <= correct <= total; a fraction where a unit can be partly right.
        total: at least 1.
        confidence: in (0, 1).

    Returns:
        (low, high), fractions, 0 <= low <= correct / total <= high <= 1.

    Raises:
        ValueError: a count or the confidence is out of range.

    Source: E. B. Wilson, J. Am. Stat. Assoc. 22 (1927), 209-212.

    >>> [round(bound, 3) for bound in wilson_interval(45, 50)]
    [0.786, 0.957]
    """
    if not (0 <= correct <= total and total > 0 and 0 < confidence < 1):
        raise ValueError(f"{correct} of {total} at confidence {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / total
    centre = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2) / (1 + z * z / total)
    # Rounding must not push the share itself out of its interval at 0 and 1.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))
