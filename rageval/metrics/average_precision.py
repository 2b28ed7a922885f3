"""Grades of what was found and of what is right -> the mean precision at the ranks of the right ones."""

import numpy as np

from rageval.metrics.grades import Grades, Ranking, Values, check_grades
from rageval.metrics.metric import RetrievalMetric


def average_precision(found: Grades, right: Grades, k: int) -> Values:
    r"""Return the average precision of the first `k` documents; its mean over questions is MAP@k.

    $$ \mathrm{AP}@k = \frac{1}{R} \sum_{i \le k,\; g_i > 0} \mathrm{P}@i $$

    The denominator is the number of all right documents, also where it is larger than `k`, as in trec_eval's map_cut
    and the AP@k of ir_measures; the other usage divides by $\min(R, k)$. With one right document it is the reciprocal
    of its rank.

    Args:
        found: Grade at each rank, shape `(n, depth)`, as in `recall.recall`.
        right: Grades of all right documents of each question, shape `(n, most)`, as in `recall.recall`.
        k: Ranks that count, 1 or more.

    Returns:
        Shape `(n,)`, each in [0, 1].

    Raises:
        ValueError: As in `recall.recall`.
    """
    check_grades(found, right, k)
    is_right = found[:, :k] > 0
    precisions = is_right.cumsum(axis=1) / np.arange(1, is_right.shape[1] + 1)
    return np.asarray((precisions * is_right).sum(axis=1) / (right > 0).sum(axis=1), dtype=np.float64)


def _compute(ranking: Ranking, k: int) -> Values:
    return average_precision(ranking.found, ranking.right, k)


MAP = RetrievalMetric(
    name="map",
    title="Mean average precision",
    description="mean precision at the ranks of the right documents among the first k",
    compute=_compute,
    needs_several=True,
)
