"""Documents and vectors -> an embedded LanceDB index with BM25, and exact cosine search in the vectors it keeps.

Layout: one folder per index, with one LanceDB table per build and `index.json`, which names the table in use and
what it was built from. That file is renamed into place after the table and its text indexes are complete, so a crash
at any point leaves the old index in use.
"""

import logging
import shutil
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import orjson
import pyarrow as pa
from filelock import FileLock
from lancedb.index import FTS
from lancedb.query import FullTextOperator, MultiMatchQuery

from rageval.records import Document, Hit
from rageval.search.search_index import (
    IndexIdentity,
    Matrix,
    SearchResult,
    best_first,
    check_build,
    check_dimensions,
    check_search,
    metadata_text,
    not_built,
    plain_text,
    replaced,
)
from rageval.text.scripts import searchable

_logger = logging.getLogger(__name__)
_TEXT_COLUMNS = ("title", "text", "metadata")
_BATCH = 100
"""Vectors searched at once: of 100,000 documents, their cosines take 40 MB."""


@dataclass(frozen=True, kw_only=True)
class _CurrentTable:
    """The table in use: what `index.json` holds."""

    table: str
    identity: IndexIdentity


@dataclass(frozen=True, kw_only=True)
class _Vectors:
    """The vectors of a table, in memory: LanceDB takes 6 ms of processor time to search a thousand of them."""

    document_ids: list[str]
    """Sorted by filter value."""
    vectors: Matrix
    """Of length 1, in the order of the documents."""
    rows: Mapping[str, slice]
    """Of each filter value; of the empty one, all."""

    def nearest(self, vectors: Matrix, only: str, k: int) -> list[tuple[Hit, ...]]:
        """Return the best `k` documents with a filter value for each vector, by exact cosine."""
        rows = self.rows.get(only, slice(0, 0))
        ids, cosines = self.document_ids[rows], _unit(vectors) @ self.vectors[rows].T
        worst = np.partition(cosines, -k)[:, -k] if k < len(ids) else np.full(len(vectors), -np.inf)
        return [
            best_first(
                (
                    Hit(document_id=ids[row], score=min(1.0, max(-1.0, float(of[row]))))
                    for row in np.flatnonzero(of >= at)
                ),
                k,
            )
            for of, at in zip(cosines, worst, strict=True)
        ]


@dataclass(frozen=True)
class _OpenTable:
    """A table that is open."""

    table: Any

    @cached_property
    def vectors(self) -> _Vectors:
        """Its vectors, read by the first vector search."""
        return _vectors_of(self.table)


class LanceDBIndex:
    """A search index in a local folder; implements `SearchIndex`."""

    backend = "lancedb"

    def __init__(self, folder: Path, name: str, question_boost: float, filter_by: str = "") -> None:
        """Name the index; nothing is read or written yet.

        Args:
            folder: Holds one folder per index.
            name: Name of the index, valid as a folder's name.
            question_boost: How much more a match in a document's title counts in text search.
            filter_by: The documents' metadata by which searches are filtered; empty for none.
        """
        self.name = name
        self.options: Mapping[str, str] = {"filter_by": filter_by}
        self._folder = folder / name
        self._pointer = self._folder / "index.json"
        self._boosts = [question_boost, 1.0, 1.0]
        self._opened: _OpenTable | None = None
        self._held: _CurrentTable | None = None

    def identity(self) -> IndexIdentity | None:
        """Return what the index was built from, or None if there is none that is whole."""
        current = self._current()
        return current.identity if current else None

    def hold(self, fingerprint: str = "") -> None:
        """Search one build from now on, whatever takes its name meanwhile; see `SearchIndex`.

        Raises:
            IndexMismatchError: If there is none, or none with this fingerprint any more.
        """
        self._held = None
        current = self._required()
        if fingerprint and current.identity.fingerprint != fingerprint:
            raise replaced(self)
        self._held = current

    def build(self, documents: Sequence[Document], vectors: Matrix, identity: IndexIdentity) -> None:
        """Replace the index as a whole.

        Only one process builds at a time; another one waits for it.

        Raises:
            ValueError: If documents, vectors and identity do not belong together.
        """
        check_build(documents, vectors, identity)
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "build.lock"):
            name = f"documents-{identity.fingerprint[:12]}-{uuid.uuid4().hex[:8]}"
            table = lancedb.connect(self._folder).create_table(name, self._to_arrow(documents, vectors))
            for column in _TEXT_COLUMNS:
                table.create_index(column, config=FTS())
            self._point_to(name, identity)
            self._remove_tables_except(name)
        self._held = None

    def search_text(self, queries: Sequence[str], filters: Sequence[str], k: int) -> list[SearchResult]:
        """Return the best `k` documents by BM25 for each query, within the filter of the same position.

        A document's score is the best of its columns' scores. English stemming and stop words apply; scripts without
        spaces are cut by `searchable`, in the index and in the query. Queries are searched one after the other: more at
        once are hardly faster, and would blur each other's latency.

        Raises:
            ValueError: If there is not one filter for each query, or `k` is below 1.
            IndexMismatchError: If the index has not been built.
        """
        check_search(queries, filters, k)
        table = self._open(self._required()).table
        return [self._search_one(table, query, only, k) for query, only in zip(queries, filters, strict=True)]

    def search_vector(self, vectors: Matrix, filters: Sequence[str], k: int) -> list[SearchResult]:
        """Return the best `k` documents by exact cosine for each row, within the filter of the same position.

        The latency is that of the row's batch, divided by the batch's size.

        Raises:
            ValueError: If there is not one filter for each row, or `k` is below 1.
            IndexMismatchError: If the index has not been built, or holds vectors of another length.
        """
        check_search(vectors, filters, k)
        if not filters:
            return []
        current = self._required()
        check_dimensions(self, current.identity, vectors)
        stored = self._open(current).vectors
        found: dict[int, SearchResult] = {}
        for only, positions in _batches(filters):
            started = time.perf_counter()
            ranked = stored.nearest(vectors[positions], only, k)
            latency_s = (time.perf_counter() - started) / len(positions)
            found.update(
                (position, SearchResult(hits=hits, latency_s=latency_s))
                for position, hits in zip(positions, ranked, strict=True)
            )
        return [found[position] for position in range(len(filters))]

    def remove(self) -> None:
        """Remove the index's folder."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Forget the open table and its vectors."""
        self._opened = None

    def _to_arrow(self, documents: Sequence[Document], vectors: Matrix) -> pa.Table:
        # In the order of their ids, because the engine resolves equal scores at the cut-off by position.
        order = sorted(range(len(documents)), key=lambda position: documents[position].document_id)
        filter_by, ordered = self.options["filter_by"], [documents[position] for position in order]
        values = np.ascontiguousarray(vectors[order], dtype=np.float32)
        return pa.table(
            {
                "document_id": [document.document_id for document in ordered],
                "filter_value": [document.filter_value(filter_by) for document in ordered],
                "title": [searchable(document.title) for document in ordered],
                "text": [searchable(document.text) for document in ordered],
                "metadata": [searchable(metadata_text(document, filter_by)) for document in ordered],
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1]),
            }
        )

    def _current(self) -> _CurrentTable | None:
        try:
            stored = orjson.loads(self._pointer.read_bytes())
        except FileNotFoundError:
            return None
        except orjson.JSONDecodeError:
            _logger.warning("%s is not JSON: the index counts as not built", self._pointer)
            return None
        current = _CurrentTable(table=stored["table"], identity=IndexIdentity(**stored["identity"]))
        return current if self._is_there(current.table) else None

    def _is_there(self, table: str) -> bool:
        return (self._folder / f"{table}.lance").is_dir()

    def _required(self) -> _CurrentTable:
        if self._held:
            if not self._is_there(self._held.table):
                raise replaced(self)
            return self._held
        current = self._current()
        if current is None:
            raise not_built(self)
        return current

    def _open(self, current: _CurrentTable) -> _OpenTable:
        opened = self._opened
        if opened is None or opened.table.name != current.table:
            opened = self._opened = _OpenTable(lancedb.connect(self._folder).open_table(current.table))
        return opened

    def _point_to(self, table: str, identity: IndexIdentity) -> None:
        temporary = self._pointer.with_suffix(".tmp")
        temporary.write_bytes(orjson.dumps(_CurrentTable(table=table, identity=identity)))
        temporary.replace(self._pointer)

    def _remove_tables_except(self, table: str) -> None:
        for folder in self._folder.glob("documents-*.lance"):
            if folder.name != f"{table}.lance":
                shutil.rmtree(folder, ignore_errors=True)

    def _search_one(self, table: Any, query: str, only: str, k: int) -> SearchResult:
        started = time.perf_counter()
        match = MultiMatchQuery(
            searchable(plain_text(query)), list(_TEXT_COLUMNS), boosts=self._boosts, operator=FullTextOperator.OR
        )
        rows = (
            table.search(match, query_type="fts")
            .where(_filter(only), prefilter=True)
            .select(["document_id", "_score"])
            .limit(k)
            .to_arrow()
        )
        latency_s = time.perf_counter() - started
        pairs = zip(rows["document_id"].to_pylist(), rows["_score"].to_pylist(), strict=True)
        return SearchResult(hits=best_first((Hit(document_id=i, score=s) for i, s in pairs), k), latency_s=latency_s)


def _filter(only: str) -> str:
    if not only:
        return "true"
    return "filter_value = '" + plain_text(only).replace("'", "''") + "'"


def _batches(filters: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Yield a filter and at most `_BATCH` of the positions where it stands, until all positions were named."""
    positions: defaultdict[str, list[int]] = defaultdict(list)
    for position, only in enumerate(filters):
        positions[only].append(position)
    for only, all_of_it in positions.items():
        for start in range(0, len(all_of_it), _BATCH):
            yield only, all_of_it[start : start + _BATCH]


def _vectors_of(table: Any) -> _Vectors:
    columns = (
        table.search()
        .select(["document_id", "filter_value", "vector"])
        .limit(table.count_rows())
        .to_arrow()
        .sort_by("filter_value")
    )
    vectors = columns["vector"].combine_chunks()
    filters = columns["filter_value"].to_pylist()
    begins = [row for row, value in enumerate(filters) if row == 0 or value != filters[row - 1]]
    return _Vectors(
        document_ids=columns["document_id"].to_pylist(),
        vectors=_unit(vectors.flatten().to_numpy().reshape(len(vectors), -1)),
        rows={filters[begin]: slice(begin, end) for begin, end in pairwise([*begins, len(filters)])}
        | {"": slice(0, len(filters))},
    )


def _unit(vectors: Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Matrix = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
