"""Grades of what was found -> which part of the first k is right."""

import numpy as np

from rageval.metrics.grades import Grades, Ranking, Values, check_k
from rageval.metrics.metric import RetrievalMetric


def precision(found: Grades, k: int) -> Values:
    r"""Return which part of the first `k` documents is right: precision@k.

    $$ \mathrm{P}@k = \frac{|\{ i \le k : g_i > 0 \}|}{k} $$

    Args:
        found: Grade at each rank, shape `(n, depth)`, as in `recall.recall`.
        k: Ranks that count, 1 or more. The denominator is `k` also where fewer documents were found.

    Returns:
        Shape `(n,)`, each in [0, 1]; with one right document at most 1/k.

    Raises:
        ValueError: If `k` is below 1.
    """
    check_k(k)
    return np.asarray((found[:, :k] > 0).sum(axis=1) / k, dtype=np.float64)


def _compute(ranking: Ranking, k: int) -> Values:
    return precision(ranking.found, k)


PRECISION = RetrievalMetric(
    name="precision",
    title="Precision",
    description="share of the first k places that holds a right document",
    compute=_compute,
    needs_several=True,
)
