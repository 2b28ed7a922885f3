"""Embeddings -> groups of near-duplicates, and how close each question is to its own document.

Products of matrices are taken block by block, so memory is bounded by one block of rows times all rows:
20 MB for 10,000 documents.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = NDArray[np.floating[Any]]
BLOCK_ROWS = 512


@dataclass(frozen=True, kw_only=True)
class NeighbourGroup:
    """Rows that hang together by pairs at or above the threshold, and the highest cosine among them."""

    members: tuple[int, ...]
    highest: float


@dataclass(frozen=True, kw_only=True)
class Closeness:
    """For each question: its cosine to its own document, and that document's rank among all of them."""

    cosines: NDArray[np.float64]
    """In [-1, 1]: the highest, where a question has several right documents."""
    ranks: NDArray[np.int64]
    """1 + the number of documents that are closer to the question."""
    nearest: NDArray[np.int64]
    """The document that is closest to the question."""


def near_groups(vectors: Matrix, threshold: float, *, block_rows: int = BLOCK_ROWS) -> list[NeighbourGroup]:
    """Return the groups of rows that are near-duplicates of each other.

    Two rows belong together if their cosine is at or above the threshold, and so do two rows that a third one
    connects (single linkage).

    Args:
        vectors: Shape `(n, d)`, rows of length 1.
        threshold: A cosine, in (-1, 1].
        block_rows: Rows compared with all others at once; changes nothing but memory.

    Returns:
        Groups of two rows or more, ordered by their first row. Empty for fewer than two rows.
    """
    count = len(vectors)
    label = np.arange(count)
    highest = np.full(count, -np.inf)
    for start in range(0, count, block_rows):
        block = vectors[start : start + block_rows] @ vectors.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        highest[start : start + len(block)] = block.max(axis=1, initial=-np.inf)
        for row in np.flatnonzero(highest[start : start + len(block)] >= threshold):
            joined = np.unique(label[np.append(np.flatnonzero(block[row] >= threshold), start + row)])
            if len(joined) > 1:
                label[np.isin(label, joined)] = joined[0]
    names, sizes = np.unique(label, return_counts=True)
    return [
        NeighbourGroup(members=tuple(int(i) for i in members), highest=float(min(1.0, highest[members].max())))
        for name in names[sizes > 1]
        for members in [np.flatnonzero(label == name)]
    ]


def closeness(
    questions: Matrix, documents: Matrix, own: Sequence[Sequence[int]], *, block_rows: int = BLOCK_ROWS
) -> Closeness:
    """Return how close each question is to its own document, compared with all others.

    Args:
        questions: Shape `(n, d)`, rows of length 1.
        documents: Shape `(m, d)`, rows of length 1, m at least 1.
        own: For each question the rows of its right documents, at least one.
        block_rows: Questions compared with all documents at once; changes nothing but memory.

    Returns:
        Arrays of shape `(n,)`. A document that is exactly as close as the own one does not lower its rank.
    """
    count = len(questions)
    cosines = np.empty(count)
    ranks, nearest = np.empty(count, np.int64), np.empty(count, np.int64)
    for start in range(0, count, block_rows):
        block = questions[start : start + block_rows] @ documents.T
        stop = start + len(block)
        best = np.array([row[list(right)].max() for row, right in zip(block, own[start:stop], strict=True)])
        cosines[start:stop] = np.clip(best, -1.0, 1.0)
        ranks[start:stop] = 1 + (block > best[:, None]).sum(axis=1)
        nearest[start:stop] = block.argmax(axis=1)
    return Closeness(cosines=cosines, ranks=ranks, nearest=nearest)
