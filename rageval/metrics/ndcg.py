"""Grades of what was found and of what is right -> the discounted gain of the first k."""

import numpy as np

from rageval.metrics.grades import Grades, Ranking, Values, check_grades
from rageval.metrics.metric import RetrievalMetric


def ndcg(found: Grades, right: Grades, k: int) -> Values:
    r"""Return the normalised discounted cumulative gain of the first `k` documents: nDCG@k.

    $$ \mathrm{nDCG}@k = \frac{\sum_{i=1}^{k} g_i / \log_2(i + 1)}{\sum_{i=1}^{k} g^*_i / \log_2(i + 1)} $$

    with $g^*$ the grades of all right documents, the highest first: the best list there could be. The gain is the
    grade itself (linear), as in trec_eval's ndcg_cut and the nDCG of ir_measures; the other usage, $2^g - 1$, is not
    meant. With one right document the value is $1 / \log_2(\mathrm{rank} + 1)$, whatever its grade.

    Args:
        found: Grade at each rank, shape `(n, depth)`, as in `recall.recall`.
        right: Grades of all right documents of each question, shape `(n, most)`, as in `recall.recall`.
        k: Ranks that count, 1 or more.

    Returns:
        Shape `(n,)`, each in [0, 1].

    Raises:
        ValueError: As in `recall.recall`.

    Source:
        K. Järvelin & J. Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4).
    """
    check_grades(found, right, k)
    best = -np.sort(-right.astype(np.int64), axis=1)
    return np.asarray(_discounted(found, k) / _discounted(best, k), dtype=np.float64)


def _discounted(grades: Grades, k: int) -> Values:
    shown = grades[:, :k]
    return np.asarray(shown @ (1 / np.log2(np.arange(2, shown.shape[1] + 2))), dtype=np.float64)


def _compute(ranking: Ranking, k: int) -> Values:
    return ndcg(ranking.found, ranking.right, k)


NDCG = RetrievalMetric(
    name="ndcg",
    title="nDCG",
    description="discounted gain of the first k, as a share of the best possible",
    standing="compared",
    compute=_compute,
)
