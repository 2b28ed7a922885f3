"""The search index behind one small Protocol, and the choice of its implementation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rageval.records import Document, Hit

Matrix: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class IndexIdentity:
    """What an index was built from; stored in the index itself."""

    fingerprint: str
    embedding_model: str
    dimensions: int
    documents: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """The hits of one query, best first, and the seconds that the search engine took for it."""

    hits: tuple[Hit, ...]
    latency_s: float


class SearchIndex(Protocol):
    """One named index of documents with a text and a vector search, filtered by course."""

    def identity(self) -> IndexIdentity | None:
        """Return what the index was built from, or None if there is no index of this name yet."""

    def build(self, documents: Sequence[Document], vectors: Matrix, identity: IndexIdentity) -> None:
        """Replace the index as a whole: searches see the old one or the new one, never a part of it."""

    def search_text(self, queries: Sequence[str], courses: Sequence[str], k: int) -> list[Found]:
        """Return the best `k` documents by BM25 for each query, within the course of the same position."""

    def search_vector(self, vectors: Matrix, courses: Sequence[str], k: int) -> list[Found]:
        """Return the best `k` documents by cosine for each row, within the course of the same position."""

    def close(self) -> None:
        """Give back connections."""
