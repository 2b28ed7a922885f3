"""What the chunks of a run are made of: its documents, questions and retrieved contexts, read once a process."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rageval.config.depth import first_documents, retrieval_depth
from rageval.errors import DataError
from rageval.records import Chunk, Document, Question
from rageval.runs.contexts import ContextMatching
from rageval.runs.found_documents import document_of, found_documents
from rageval.runs.manifest import read_manifest
from rageval.runs.run import Run
from rageval.storage import places
from rageval.storage.stored_rows import StoredRows
from rageval.tables import RETRIEVAL

_READING = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """The three tables that answers and scores start from; rows become records only for the chunk that needs them."""

    documents: Mapping[str, Document]
    questions: StoredRows
    retrieved: Mapping[str, pa.ChunkedArray]
    """For each retriever, in the order of the questions: ids of what a model is shown, best first."""
    failed: Mapping[str, pa.ChunkedArray]
    """For each retriever of one's own, in the same order: why it found nothing; null where it did not fail."""

    @cached_property
    def matching(self) -> ContextMatching:
        """What finds the documents of contexts that systems bring."""
        return ContextMatching(self.documents)

    def of_chunk(self, chunk: Chunk) -> list[Question]:
        """Return the chunk's questions."""
        return [_question(row) for row in self.questions.slice(chunk.start, chunk.stop).to_pylist()]

    def found(self, chunk: Chunk, retriever: str | None) -> list[list[str]]:
        """Return the ids of what a retriever found for each of the chunk's questions, best first; without one, none."""
        if retriever is None:
            return [[] for _ in range(chunk.stop - chunk.start)]
        ids: list[list[str]] = self.retrieved[retriever].slice(chunk.start, chunk.stop - chunk.start).to_pylist()
        return ids

    def failures(self, chunk: Chunk, retriever: str | None) -> list[str | None]:
        """Return for each of the chunk's questions why its retriever failed, or None."""
        if retriever is None or retriever not in self.failed:
            return [None] * (chunk.stop - chunk.start)
        found: list[str | None] = self.failed[retriever].slice(chunk.start, chunk.stop - chunk.start).to_pylist()
        return found


def read_inputs(run: Run) -> RunInputs:
    """Return the inputs of a run whose retrieval is done.

    Raises:
        DataError: If a table is missing, damaged, or does not fit the others.
    """
    version = tuple(
        places.version(run.path / f"{table}.parquet") for table in ("questions", "retrieval") if run.has(table)
    )
    with _READING:  # the first chunks start at once, and one reading serves them all
        return _read_inputs(run, version)


@lru_cache(maxsize=2)
def _read_inputs(run: Run, version: tuple[str, ...]) -> RunInputs:
    del version  # part of the cache's key: a table that is written again is read again
    asked = run.read("questions", ["question_id"])["question_id"]
    retrieval = run.read("retrieval") if run.has("retrieval") else RETRIEVAL.empty_table()
    depth = retrieval_depth(read_manifest(run).config.retrieval)
    retrieved: dict[str, pa.ChunkedArray] = {}
    failed: dict[str, pa.ChunkedArray] = {}
    for retriever in retrieval["retriever"].unique().to_pylist():
        rows = retrieval.filter(pc.equal(retrieval["retriever"], retriever))
        if not rows["question_id"].equals(asked):
            raise DataError(
                f"{run.folder}/retrieval.parquet does not hold the questions of questions.parquet in their order "
                f"(retriever {retriever}); remove it, and the run searches again"
            )
        shown = first_documents(rows, depth.top_k)
        retrieved[retriever] = pc.coalesce(shown["shown_ids"], shown["document_ids"])
        if rows["error"].null_count < len(rows):
            failed[retriever] = rows["error"]
    documents = read_documents(run) | {document.document_id: document for document in found_documents(run)}
    return RunInputs(documents=documents, questions=run.rows("questions"), retrieved=retrieved, failed=failed)


def read_documents(run: Run) -> dict[str, Document]:
    """Return the documents of a run by id."""
    return {row["document_id"]: document_of(row) for row in run.read("documents").to_pylist()}


def read_questions(run: Run) -> Iterator[Question]:
    """Yield the questions of a run in their order."""
    return map(_question, run.rows("questions").rows())


def question_ids(run: Run) -> list[str]:
    """Return the ids of a run's questions in their order."""
    ids: list[str] = run.read("questions", ["question_id"])["question_id"].to_pylist()
    return ids


def _question(row: dict[str, Any]) -> Question:
    known = {name: tuple(value) for name, value in row.items() if isinstance(value, list) and name != "tags"}
    return Question(**{**row, **known, "tags": dict(row["tags"])})
