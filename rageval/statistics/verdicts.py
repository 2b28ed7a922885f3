"""A paired difference and its adjusted p-value -> what may be said about it, in words."""

from typing import Final, Literal

from rageval.statistics.paired import PairedDifference

Verdict = Literal["better", "worse", "no difference seen", "too few questions"]

SIGNIFICANT: Final = 0.05
FEWEST_CLUSTERS: Final = 10
"""Source documents below which nothing is called better or worse."""
RELEVANT: Final = 0.05
"""A difference that would matter, in the metric's unit: 5 points of a hundred for a metric in [0, 1]."""


def verdict(
    difference: PairedDifference | None,
    p_value: float,
    *,
    relevant: float = RELEVANT,
    higher_is_better: bool = True,
) -> Verdict:
    """Return whether a is better or worse than b, or why neither can be said.

    Args:
        difference: a - b; None where there were too few clusters for any.
        p_value: Adjusted for all comparisons that are read together, in [0, 1].
        relevant: A difference that would matter, in the metric's unit, above 0.
        higher_is_better: Whether more of the metric is good; else less of it is.

    Returns:
        `better` or `worse` if the adjusted p-value is below 0.05, by the sign of the mean and the direction. Else
        `no difference seen` if a difference of `relevant` would have been found in 80 of 100 such question sets (before
        the adjustment), and `too few questions` if not: then the same values fit a difference that matters. With fewer
        than 10 clusters it is always `too few questions`.
    """
    if difference is None or difference.clusters < FEWEST_CLUSTERS:
        return "too few questions"
    if p_value < SIGNIFICANT:
        return "better" if (difference.mean > 0) is higher_is_better else "worse"
    return "no difference seen" if difference.smallest_detectable <= relevant else "too few questions"
