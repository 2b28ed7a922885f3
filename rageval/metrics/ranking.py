"""The rank of the first right document -> hit rate and reciprocal rank of one question, cut off at k.

Means over questions (hit_rate@k, mrr@k) are taken where all other means are. Definitions follow Manning, Raghavan
and Schuetze, "Introduction to Information Retrieval" (2008), chapter 8, and Voorhees, "The TREC-8 Question Answering
Track Report" (1999): ranks count from 1, and a question whose right document is not found has the value 0.
"""

from collections.abc import Collection, Sequence


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


def hit(rank: int | None, k: int) -> float:
    r"""Return whether a right document is among the first `k`: hit rate, also called success or recall@k of one.

    $$ \mathrm{hit}@k = [\, \mathrm{rank} \le k \,] $$

    Args:
        rank: Rank of the first right document, from 1; None if none was found.
        k: Ranks that count, 1 or more. The search must have returned at least `k` documents where it could.

    Returns:
        1.0 or 0.0; 0.0 also where nothing was found.

    Raises:
        ValueError: If `rank` or `k` is below 1.
    """
    return float(_counts(rank, k))


def reciprocal_rank(rank: int | None, k: int) -> float:
    r"""Return the reciprocal of the first right document's rank; its mean over questions is MRR@k.

    $$ \mathrm{RR}@k = \frac{1}{\mathrm{rank}} \text{ if } \mathrm{rank} \le k, \text{ else } 0 $$

    Args:
        rank: Rank of the first right document, from 1; None if none was found.
        k: Ranks that count, 1 or more. The search must have returned at least `k` documents where it could.

    Returns:
        0.0, or a value in [1/k, 1].

    Raises:
        ValueError: If `rank` or `k` is below 1.
    """
    return 1 / rank if rank is not None and _counts(rank, k) else 0.0


def _counts(rank: int | None, k: int) -> bool:
    if k < 1:
        raise ValueError(f"k must be 1 or more, found {k}")
    if rank is not None and rank < 1:
        raise ValueError(f"ranks count from 1, found {rank}; use None where nothing was found")
    return rank is not None and rank <= k
