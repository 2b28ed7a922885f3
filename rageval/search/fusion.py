"""Ranked lists of document ids -> one fused list, for hybrid search."""

import math
from collections import defaultdict
from collections.abc import Sequence

from rageval.records import Hit


def reciprocal_rank_fusion(rankings: Sequence[Sequence[str]], k: int = 60) -> list[Hit]:
    r"""Fuse ranked lists by the sum of their reciprocal ranks.

    $$ \mathrm{score}(d) = \sum_{r \in \mathrm{rankings}} \frac{1}{k + \mathrm{rank}_r(d)} $$

    Ranks count from 1. A list that does not hold the document adds nothing. Only ranks matter, so lists whose
    scores have different scales (BM25 and cosine) can be fused.

    Source: Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods", SIGIR 2009; `k = 60` is theirs.

    Args:
        rankings: Lists of document ids, best first. An id that stands twice in one list counts once, at its
            first position, and the ids behind the repetition move up.
        k: How little the first ranks stand out; 0 or more.

    Returns:
        Every id once, best first, with scores in (0, len(rankings) / (k + 1)]. Equal scores are ordered by the
        best rank in any list, then by id. Empty if all lists are.

    Raises:
        ValueError: If `k` is negative.
    """
    if k < 0:
        raise ValueError(f"k of reciprocal rank fusion must be 0 or more, found {k}; 60 is the usual value")
    ranks: defaultdict[str, list[int]] = defaultdict(list)
    for ranking in rankings:
        for rank, document_id in enumerate(dict.fromkeys(ranking), start=1):
            ranks[document_id].append(rank)
    # fsum, because a plain sum depends on the order of the lists in its last digit, and would break ties by it.
    scores = {document_id: math.fsum(1 / (k + rank) for rank in found) for document_id, found in ranks.items()}
    ordered = sorted(ranks, key=lambda document_id: (-scores[document_id], min(ranks[document_id]), document_id))
    return [Hit(document_id=document_id, score=scores[document_id]) for document_id in ordered]
