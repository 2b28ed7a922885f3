"""Ranks of first right documents -> whether one is among the first k."""

import numpy as np

from rageval.metrics.grades import Ranking, Values, counts
from rageval.metrics.metric import RetrievalMetric


def hit(rank: Values, k: int) -> Values:
    r"""Return whether a right document is among the first `k`: hit rate, also called success or recall@k of one.

    $$ \mathrm{hit}@k = [\, \mathrm{rank} \le k \,] $$

    Args:
        rank: Rank of each question's first right document, from 1; NaN where none was found.
        k: Ranks that count, 1 or more. The search must have returned at least `k` documents where it could.

    Returns:
        As many values, 1.0 or 0.0; 0.0 also where nothing was found: that is a miss, not a gap.

    Raises:
        ValueError: If a rank or `k` is below 1.
    """
    return counts(rank, k).astype(np.float64)


def _compute(ranking: Ranking, k: int) -> Values:
    return hit(ranking.first, k)


HIT_RATE = RetrievalMetric(
    name="hit_rate",
    title="Hit rate",
    description="a right document is among the first k",
    standing="headline",
    compute=_compute,
)
