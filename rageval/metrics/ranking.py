"""Ranks and grades of the documents that were found -> retrieval metrics of a question, cut off at k.

Means over questions (hit_rate@k, mrr@k, recall@k, precision@k, ndcg@k, map@k) are taken where all other means are.
Definitions follow Manning, Raghavan and Schuetze, "Introduction to Information Retrieval" (2008), chapter 8, Voorhees,
"The TREC-8 Question Answering Track Report" (1999), and the program trec_eval, so they equal those of ir_measures:
ranks count from 1, a document that is found twice takes one rank, its first, and a question whose right documents are
not found has the value 0. A right document has a grade of 1 or more; only nDCG looks at how much more.
"""

from collections.abc import Collection, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Grades: TypeAlias = NDArray[Any]
"""Whole numbers, one row per question: a grade of 1 or more for a right document, 0 for any other and for none."""
Values: TypeAlias = NDArray[np.float64]


def first_relevant_rank(document_ids: Sequence[str], relevant: Collection[str]) -> int | None:
    """Return the rank of the first right document.

    Args:
        document_ids: Ids that were found, best first. An id that stands twice takes one rank, its first.
        relevant: Ids of the right documents; any of them counts.

    Returns:
        The rank, from 1, or None if no right document was found or there is none.
    """
    for rank, document_id in enumerate(dict.fromkeys(document_ids), start=1):
        if document_id in relevant:
            return rank
    return None


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
    return _counts(rank, k).astype(np.float64)


def reciprocal_rank(rank: Values, k: int) -> Values:
    r"""Return the reciprocal of the first right document's rank; its mean over questions is MRR@k.

    $$ \mathrm{RR}@k = \frac{1}{\mathrm{rank}} \text{ if } \mathrm{rank} \le k, \text{ else } 0 $$

    Args:
        rank: As in `hit`.
        k: As in `hit`.

    Returns:
        As many values, 0.0 or in [1/k, 1].

    Raises:
        ValueError: If a rank or `k` is below 1.
    """
    return np.divide(1.0, rank, out=np.zeros_like(rank), where=_counts(rank, k))


def _counts(rank: Values, k: int) -> NDArray[np.bool_]:
    _check_k(k)
    if (wrong := rank[rank < 1]).size:
        raise ValueError(f"ranks count from 1, found {wrong[0]:g}; use NaN where nothing was found")
    return rank <= k


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
    _check_grades(found, right, k)
    return np.asarray((found[:, :k] > 0).sum(axis=1) / (right > 0).sum(axis=1), dtype=np.float64)


def precision(found: Grades, k: int) -> Values:
    r"""Return which part of the first `k` documents is right: precision@k.

    $$ \mathrm{P}@k = \frac{|\{ i \le k : g_i > 0 \}|}{k} $$

    Args:
        found: Grade at each rank, shape `(n, depth)`, as in `recall`.
        k: Ranks that count, 1 or more. The denominator is `k` also where fewer documents were found.

    Returns:
        Shape `(n,)`, each in [0, 1]; with one right document at most 1/k.

    Raises:
        ValueError: If `k` is below 1.
    """
    _check_k(k)
    return np.asarray((found[:, :k] > 0).sum(axis=1) / k, dtype=np.float64)


def ndcg(found: Grades, right: Grades, k: int) -> Values:
    r"""Return the normalised discounted cumulative gain of the first `k` documents: nDCG@k.

    $$ \mathrm{nDCG}@k = \frac{\sum_{i=1}^{k} g_i / \log_2(i + 1)}{\sum_{i=1}^{k} g^*_i / \log_2(i + 1)} $$

    with $g^*$ the grades of all right documents, the highest first: the best list there could be. The gain is the
    grade itself (linear), as in trec_eval's ndcg_cut and the nDCG of ir_measures; the other usage, $2^g - 1$, is not
    meant. With one right document the value is $1 / \log_2(\mathrm{rank} + 1)$, whatever its grade.

    Args:
        found: Grade at each rank, shape `(n, depth)`, as in `recall`.
        right: Grades of all right documents of each question, shape `(n, most)`, as in `recall`.
        k: Ranks that count, 1 or more.

    Returns:
        Shape `(n,)`, each in [0, 1].

    Raises:
        ValueError: As in `recall`.

    Source:
        K. Järvelin & J. Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, ACM TOIS 20(4).
    """
    _check_grades(found, right, k)
    best = -np.sort(-right.astype(np.int64), axis=1)
    return np.asarray(_discounted(found, k) / _discounted(best, k), dtype=np.float64)


def average_precision(found: Grades, right: Grades, k: int) -> Values:
    r"""Return the average precision of the first `k` documents; its mean over questions is MAP@k.

    $$ \mathrm{AP}@k = \frac{1}{R} \sum_{i \le k,\; g_i > 0} \mathrm{P}@i $$

    The denominator is the number of all right documents, also where it is larger than `k`, as in trec_eval's map_cut
    and the AP@k of ir_measures; the other usage divides by $\min(R, k)$. With one right document it is the reciprocal
    of its rank.

    Args:
        found: Grade at each rank, shape `(n, depth)`, as in `recall`.
        right: Grades of all right documents of each question, shape `(n, most)`, as in `recall`.
        k: Ranks that count, 1 or more.

    Returns:
        Shape `(n,)`, each in [0, 1].

    Raises:
        ValueError: As in `recall`.
    """
    _check_grades(found, right, k)
    is_right = found[:, :k] > 0
    precisions = is_right.cumsum(axis=1) / np.arange(1, is_right.shape[1] + 1)
    return np.asarray((precisions * is_right).sum(axis=1) / (right > 0).sum(axis=1), dtype=np.float64)


def _discounted(grades: Grades, k: int) -> Values:
    shown = grades[:, :k]
    return np.asarray(shown @ (1 / np.log2(np.arange(2, shown.shape[1] + 2))), dtype=np.float64)


def _check_grades(found: Grades, right: Grades, k: int) -> None:
    _check_k(k)
    if found.ndim != 2 or right.ndim != 2 or len(found) != len(right):
        raise ValueError(f"expected one row per question in both, got shapes {found.shape} and {right.shape}")
    if without := np.flatnonzero(~(right > 0).any(axis=1)).tolist():
        raise ValueError(f"question {without[0]} has no right document; leave it out")


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be 1 or more, found {k}")
