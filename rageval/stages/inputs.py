"""What the chunks of a run are made of: its documents, questions and retrieved contexts, read once a process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from rageval.adapters.run_store import RunStore
from rageval.records import Chunk, Document, Question, SearchMethod


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """The three tables that answers and scores start from."""

    documents: Mapping[str, Document]
    questions: Sequence[Question]
    retrieved: Mapping[SearchMethod, Sequence[Sequence[str]]]
    """For each search method and question, in the order of the questions: ids of the documents found."""

    def of_chunk(self, chunk: Chunk) -> Sequence[Question]:
        """Return the chunk's questions."""
        return self.questions[chunk.start : chunk.stop]

    def contexts(self, chunk: Chunk) -> list[list[Document]]:
        """Return the documents found for each of the chunk's questions, best first."""
        found = self.retrieved[chunk.search_method][chunk.start : chunk.stop]
        return [[self.documents[document_id] for document_id in ids] for ids in found]


def read_inputs(run: RunStore) -> RunInputs:
    """Return the inputs of a run whose retrieval is done."""
    version = tuple((run.path / f"{table}.parquet").stat().st_mtime_ns for table in ("questions", "retrieval"))
    return _read_inputs(run, version)


@lru_cache(maxsize=2)
def _read_inputs(run: RunStore, version: tuple[int, ...]) -> RunInputs:
    del version  # part of the cache's key: a table that is written again is read again
    questions = [_question(row) for row in run.read("questions").to_pylist()]
    position = {question.question_id: number for number, question in enumerate(questions)}
    retrieved: dict[SearchMethod, list[list[str]]] = {}
    for row in run.read("retrieval").select(["question_id", "search_method", "document_ids"]).to_pylist():
        ids = retrieved.setdefault(row["search_method"], [[] for _ in questions])
        ids[position[row["question_id"]]] = row["document_ids"]
    return RunInputs(documents=read_documents(run), questions=questions, retrieved=retrieved)


def read_documents(run: RunStore) -> dict[str, Document]:
    """Return the documents of a run by id."""
    return {row["document_id"]: Document(**row) for row in run.read("documents").to_pylist()}


def read_questions(run: RunStore) -> list[Question]:
    """Return the questions of a run in their order."""
    return [_question(row) for row in run.read("questions").to_pylist()]


def _question(row: dict[str, Any]) -> Question:
    return Question(**{**row, "alternate_ids": tuple(row["alternate_ids"])})
