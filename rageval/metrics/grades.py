"""What every retrieval metric reads: the ranks and grades of the documents that were found.

Definitions follow Manning, Raghavan and Schuetze, "Introduction to Information Retrieval" (2008), chapter 8, Voorhees,
"The TREC-8 Question Answering Track Report" (1999), and the program trec_eval, so they equal those of ir_measures:
ranks count from 1, a document that is found twice takes one rank, its first, and a question whose right documents are
not found has the value 0. A right document has a grade of 1 or more; only nDCG looks at how much more.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Grades: TypeAlias = NDArray[Any]
"""Whole numbers, one row per question: a grade of 1 or more for a right document, 0 for any other and for none."""
Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """What was found for n questions, and what should have been."""

    first: Values
    """Rank of each question's first right document, from 1; NaN where none was found."""
    found: Grades
    """Grade at each rank, shape `(n, depth)`; 0 for a document that is not right, and after the last one."""
    right: Grades
    """Grades of all right documents, shape `(n, most)`, filled up with 0."""


def text_id(number: int) -> str:
    """Return what a result counts as that holds the right text of this number, from 0, where ids say nothing."""
    return f"text {number + 1}"


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


def counts(rank: Values, k: int) -> NDArray[np.bool_]:
    """Return whether each first right document is among the first `k`; both are checked."""
    check_k(k)
    if (wrong := rank[rank < 1]).size:
        raise ValueError(f"ranks count from 1, found {wrong[0]:g}; use NaN where nothing was found")
    return rank <= k


def check_grades(found: Grades, right: Grades, k: int) -> None:
    """Refuse shapes that do not fit, and questions without a right document."""
    check_k(k)
    if found.ndim != 2 or right.ndim != 2 or len(found) != len(right):
        raise ValueError(f"expected one row per question in both, got shapes {found.shape} and {right.shape}")
    if without := np.flatnonzero(~(right > 0).any(axis=1)).tolist():
        raise ValueError(f"question {without[0]} has no right document; leave it out")


def check_k(k: int) -> None:
    """Refuse a cut-off that counts nothing."""
    if k < 1:
        raise ValueError(f"k must be 1 or more, found {k}")
