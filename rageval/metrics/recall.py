"""Grades of what was found and of what is right -> which part of the latter is among the first k."""

import numpy as np

from rageval.metrics.grades import Grades, Ranking, Values, check_grades
from rageval.metrics.metric import RetrievalMetric


def recall(found: Grades, right: Grades, k: int) -> Values:
    r"""Return which part of a question's right documents is among the first `k`: recall@k.

    $$ \mathrm{R}@k = \frac{|\{ i \le k : g_i > 0 \}|}{R} $$

    Args:
        found: Grade at each rank, shape `(n, depth)`. Where fewer than `k` documents were found, 0 follows them. A
            document that was found twice takes one rank, its first.
        right: Grades of all right documents of each question, in any order, shape `(n, most)`, filled up with 0.
        k: Ranks that count, 1 or more; `depth` should reach that far where the search could.

    Returns:
        Shape `(n,)`, each in [0, 1]. $R$ counts all right documents, so with more than `k` of them 1 is out of reach.

    Raises:
        ValueError: If `k` is below 1, the shapes do not fit, or a question has no right document: its recall is
            undefined, and 0 would be read as "not found".
    """
    check_grades(found, right, k)
    return np.asarray((found[:, :k] > 0).sum(axis=1) / (right > 0).sum(axis=1), dtype=np.float64)


def _compute(ranking: Ranking, k: int) -> Values:
    return recall(ranking.found, ranking.right, k)


RECALL = RetrievalMetric(
    name="recall",
    title="Recall",
    description="share of the right documents that is among the first k",
    standing="compared",
    compute=_compute,
    needs_several=True,
)
