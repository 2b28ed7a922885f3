"""Documents and vectors -> an embedded index: BM25 by tantivy, exact cosines by numpy, in files that are mapped.

Layout: one folder per index, with one folder per build and `index.json`, which names the build in use, what it was
built from, and size and checksum of each of its files. That file is renamed into place after all others are complete
and on the disk, so a crash at any point leaves the old build in use. A build is never changed: any number of processes
search it, while one makes the next. One with a file that is missing, cut or changed counts as none, and is made again.
"""

import logging
import shutil
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import orjson
import pyarrow as pa
from filelock import FileLock

from rageval.config.evaluation import Language
from rageval.embedding.embedding_model import Matrix
from rageval.records import Document, Hit
from rageval.search.embedded_build import (
    BuildDescription,
    OpenBuild,
    is_whole,
    open_build,
    read_description,
    write_build,
)
from rageval.search.search_index import (
    IndexIdentity,
    SearchResult,
    check_build,
    check_dimensions,
    check_search,
    damaged,
    not_built,
    replaced,
)
from rageval.search.text_rules import TextQuery
from rageval.storage.files import replacing, writing

_logger = logging.getLogger(__name__)
_BATCH = 1000
"""Vectors whose latency is measured as one."""


class EmbeddedIndex:
    """A search index in a local folder; implements `SearchIndex`."""

    backend = "embedded"

    def __init__(
        self, folder: Path, name: str, text: TextQuery, filter_by: str = "", language: Language = "auto"
    ) -> None:
        """Name the index; nothing is read or written yet.

        Args:
            folder: Holds one folder per index.
            name: Name of the index, valid as a folder's name.
            text: How text search combines fields.
            filter_by: The documents' metadata by which searches are filtered; empty for none.
            language: By whose rules texts are cut when it is built.
        """
        self.name = name
        self.options: Mapping[str, str] = {"filter_by": filter_by, "language": language}
        self._language: Language = language
        self._folder = folder / name
        self._pointer = self._folder / "index.json"
        self._text = text
        self._opened: OpenBuild | None = None
        self._held: OpenBuild | None = None

    def identity(self) -> IndexIdentity | None:
        """Return what the index was built from, or None if there is none that is whole."""
        while (current := self._current()) is not None:
            if is_whole(self._folder / current.folder, current):
                return current.identity
            if self._is_latest(current):
                _logger.warning("%s has damaged files: the index counts as not built", self._folder / current.folder)
                return None
        return None

    def hold(self, fingerprint: str = "") -> None:
        """Search one build from now on, whatever takes its name meanwhile; see `SearchIndex`.

        Raises:
            IndexMismatchError: If there is none, or none with this fingerprint any more.
        """
        self._held = None
        build = self._open()
        if fingerprint and build.description.identity.fingerprint != fingerprint:
            raise replaced(self)
        self._held = build

    def build(self, documents: Sequence[Document], vectors: Matrix, identity: IndexIdentity) -> None:
        """Replace the index as a whole.

        Only one process builds at a time; another one waits for it.

        Raises:
            ValueError: If documents, vectors and identity do not belong together.
            RunStoppedError: If the disk takes nothing more.
        """
        check_build(documents, vectors, identity)
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self._folder / "build.lock"):
                folder = self._folder / f"build-{identity.fingerprint[:12]}-{uuid.uuid4().hex[:8]}"
                try:
                    filter_by = self.options["filter_by"]
                    built = write_build(folder, documents, vectors, identity, filter_by, self._language)
                    self._point_to(built)
                except BaseException:  # Ctrl-C too: half a build is of no use to anybody
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
                self._remove_builds_except(folder)
        self._held = None

    def search_text(self, queries: Sequence[str], filters: Sequence[str], k: int) -> list[SearchResult]:
        """Return the best `k` documents by BM25 for each query, within the filter of the same position.

        Texts are cut and fields are combined as `rageval.search.text_rules` says. Queries are searched one after the
        other: more at once are hardly faster, and would blur each other's latency.

        Raises:
            ValueError: If there is not one filter for each query, or `k` is below 1.
            IndexMismatchError: If the index has not been built.
        """
        check_search(queries, filters, k)
        build = self._open()
        return [self._search_one(build, query, only, k) for query, only in zip(queries, filters, strict=True)]

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
        build = self._open()
        check_dimensions(self, build.description.identity, vectors)
        found: dict[int, SearchResult] = {}
        for only, positions in _batches(filters):
            started = time.perf_counter()
            ranked = [_hits(build, nearest) for nearest in build.vectors.nearest(vectors[positions], only, k)]
            latency_s = (time.perf_counter() - started) / len(positions)
            for position, hits in zip(positions, ranked, strict=True):
                found[position] = SearchResult(hits=hits, latency_s=latency_s)
        return [found[position] for position in range(len(filters))]

    def remove(self) -> None:
        """Remove the index's folder."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Forget the open build, and which one was held."""
        self._opened = self._held = None

    def _current(self) -> BuildDescription | None:
        """Return the build that is named, unless its folder is gone; one that was just replaced counts as such."""
        while (named := self._named()) is not None:
            if (self._folder / named.folder).is_dir():
                return named
            if self._is_latest(named):
                return None
        return None

    def _named(self) -> BuildDescription | None:
        try:
            return read_description(self._pointer.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError):
            _logger.warning("%s cannot be read: the index counts as not built", self._pointer)
            return None

    def _is_latest(self, build: BuildDescription) -> bool:
        """Return whether no other process has replaced a build since it was looked up."""
        latest = self._named()
        return latest is not None and latest.folder == build.folder

    def _open(self) -> OpenBuild:
        """Return the build to be searched, open."""
        if self._held:
            return self._held
        while True:
            current = self._current()
            if current is None:
                raise not_built(self)
            if self._opened and self._opened.description.folder == current.folder:
                return self._opened
            try:
                self._opened = open_build(self._folder / current.folder, current)
            except (OSError, ValueError, pa.ArrowException) as error:
                if self._is_latest(current):
                    raise damaged(self, error) from error

    def _point_to(self, build: BuildDescription) -> None:
        with replacing(self._pointer) as temporary:
            temporary.write_bytes(orjson.dumps(build))

    def _remove_builds_except(self, kept: Path) -> None:
        for folder in self._folder.glob("build-*"):
            if folder != kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _search_one(self, build: OpenBuild, query: str, only: str, k: int) -> SearchResult:
        started = time.perf_counter()
        hits: tuple[Hit, ...] = ()
        if not only or only in build.filters:
            number = build.filters[only] if only else None
            hits = _hits(build, build.text.best(query, number, k, self._text))
        return SearchResult(hits=hits, latency_s=time.perf_counter() - started)


def _hits(build: OpenBuild, scored: Sequence[tuple[int, float]]) -> tuple[Hit, ...]:
    return tuple(Hit(document_id=build.document_id(number), score=score) for number, score in scored)


def _batches(filters: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Yield a filter and at most `_BATCH` of the positions where it stands, until all positions were named."""
    positions: defaultdict[str, list[int]] = defaultdict(list)
    for position, only in enumerate(filters):
        positions[only].append(position)
    for only, all_of_it in positions.items():
        for start in range(0, len(all_of_it), _BATCH):
            yield only, all_of_it[start : start + _BATCH]
