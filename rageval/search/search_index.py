"""The search index behind one small Protocol, and the choice of its implementation."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rageval.embedding.embedding_model import Matrix
from rageval.errors import IndexMismatchError
from rageval.records import Document, Hit

URL_VARIABLE, CLOUD_VARIABLE = "ELASTICSEARCH_URL", "ELASTICSEARCH_CLOUD_ID"


@dataclass(frozen=True, kw_only=True)
class IndexIdentity:
    """What an index was built from; stored in the index itself."""

    fingerprint: str
    embedding_model: str
    dimensions: int
    documents: int


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """The hits of one query, best first, and the seconds that the search engine took for it."""

    hits: tuple[Hit, ...]
    latency_s: float


class SearchIndex(Protocol):
    """One named index of documents with a text and a vector search.

    A filter is the value that documents need in the column that restricts the search; `""` is all of them.
    """

    @property
    def backend(self) -> str:
        """Which search engine this is, as in `index.backend`."""

    @property
    def name(self) -> str:
        """Name of the index."""

    @property
    def options(self) -> Mapping[str, str]:
        """What decides the built index beside documents and vectors; part of its fingerprint."""

    def identity(self) -> IndexIdentity | None:
        """Return what the index was built from, or None if there is no index of this name yet."""

    def build(self, documents: Sequence[Document], vectors: Matrix, identity: IndexIdentity) -> None:
        """Replace the index as a whole: searches see the old one or the new one, never a part of it."""

    def hold(self, fingerprint: str = "") -> None:
        """Search one build from now on, whatever takes the index's name meanwhile; otherwise each search takes what it
        stands for.

        Args:
            fingerprint: Of the build; empty for the one that the name stands for.

        Raises:
            IndexMismatchError: If there is none, or none with this fingerprint any more.
        """

    def search_text(self, queries: Sequence[str], filters: Sequence[str], k: int) -> list[SearchResult]:
        """Return the best `k` documents by BM25 for each query, within the filter of the same position.

        A query is plain text, never syntax; one without any word to look for finds nothing.
        """

    def search_vector(self, vectors: Matrix, filters: Sequence[str], k: int) -> list[SearchResult]:
        """Return the best `k` documents by cosine for each row, within the filter of the same position.

        Scores are cosines, in [-1, 1].
        """

    def remove(self) -> None:
        """Remove the index."""

    def close(self) -> None:
        """Give back connections."""


def best_first(hits: Iterable[Hit], k: int) -> tuple[Hit, ...]:
    """Return the best `k` hits; equal scores are ordered by id, so that every run sees the same order."""
    return tuple(sorted(hits, key=lambda hit: (-hit.score, hit.document_id))[:k])


def metadata_text(document: Document, filter_by: str) -> str:
    """Return what text search finds of a document beside title and text: its metadata, but for the filter."""
    return " ".join(value for name, value in sorted(document.metadata.items()) if name != filter_by)


def check_build(documents: Sequence[Document], vectors: Matrix, identity: IndexIdentity) -> None:
    """Check that documents, vectors and identity belong together, before anything is written.

    Raises:
        ValueError: If there are no documents, an id stands twice, a shape differs, or a vector is not finite
            or all zeros.
    """
    expected = (identity.documents, identity.dimensions)
    if not documents or len(documents) != identity.documents or vectors.shape != expected:
        raise ValueError(
            f"an index of {identity.documents} documents needs vectors of shape {expected} and at least one document, "
            f"found {len(documents)} documents and shape {vectors.shape}"
        )
    if len({document.document_id for document in documents}) != len(documents):
        raise ValueError("two documents have the same document_id; remove the duplicates before indexing")
    squares = np.einsum("ij,ij->i", vectors, vectors)  # np.linalg.norm would copy all of them
    for bad in np.flatnonzero(~np.isfinite(squares) | (squares == 0)).tolist():
        raise ValueError(f"the vector of document {documents[bad].document_id} is not finite or all zeros")


def check_search(queries: Collection[str] | Matrix, filters: Sequence[str], k: int) -> None:
    """Check the arguments of a search.

    Raises:
        ValueError: If there is not one filter for each query, or `k` is below 1.
    """
    if len(queries) != len(filters):
        raise ValueError(f"expected one filter for each query, found {len(filters)} for {len(queries)} queries")
    if k < 1:
        raise ValueError(f"k must be 1 or more, found {k}")


def not_built(index: SearchIndex) -> IndexMismatchError:
    """Return the error of a search in an index that is not there."""
    return IndexMismatchError(
        f"there is no {index.backend} index named {index.name}; build it with `rageval index` first"
    )


def replaced(index: SearchIndex) -> IndexMismatchError:
    """Return the error of a search for a build that is not there any more."""
    return IndexMismatchError(
        f"the {index.backend} index {index.name} was replaced by another process, and what this one wants to search is "
        "gone; start it again, or choose another index.name"
    )


def damaged(index: SearchIndex, error: Exception) -> IndexMismatchError:
    """Return the error of a search in an index whose files cannot be read."""
    return IndexMismatchError(
        f"the {index.backend} index {index.name} is damaged ({error}); build it again with `rageval index --rebuild`"
    )


def check_dimensions(index: SearchIndex, identity: IndexIdentity, vectors: Matrix) -> None:
    """Check that query vectors can be compared with the vectors of an index.

    Raises:
        IndexMismatchError: If they differ in length: another model made them.
    """
    if vectors.shape[1] != identity.dimensions:
        raise IndexMismatchError(
            f"index {index.name} holds vectors of {identity.dimensions} dimensions ({identity.embedding_model}), the "
            f"queries have {vectors.shape[1]}; embed them with the same model, or choose another index.name"
        )
