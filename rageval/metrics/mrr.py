"""Ranks of first right documents -> their reciprocals, cut off at k."""

import numpy as np

from rageval.metrics.grades import Ranking, Values, counts
from rageval.metrics.metric import RetrievalMetric


def reciprocal_rank(rank: Values, k: int) -> Values:
    r"""Return the reciprocal of the first right document's rank; its mean over questions is MRR@k.

    $$ \mathrm{RR}@k = \frac{1}{\mathrm{rank}} \text{ if } \mathrm{rank} \le k, \text{ else } 0 $$

    Args:
        rank: As in `hit_rate.hit`.
        k: As in `hit_rate.hit`.

    Returns:
        As many values, 0.0 or in [1/k, 1].

    Raises:
        ValueError: If a rank or `k` is below 1.
    """
    return np.divide(1.0, rank, out=np.zeros_like(rank), where=counts(rank, k))


def _compute(ranking: Ranking, k: int) -> Values:
    return reciprocal_rank(ranking.first, k)


MRR = RetrievalMetric(
    name="mrr",
    title="Mean reciprocal rank",
    description="1 / rank of the first right document, 0 if it is not among the first k",
    standing="compared",
    compute=_compute,
)
