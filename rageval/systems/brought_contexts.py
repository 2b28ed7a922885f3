"""Answers of systems that bring their own contexts -> what they retrieved, as rows of the `retrieval` table."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rageval.config.evaluation import EvaluationConfig
from rageval.records import Hit, Question, Retrieval
from rageval.runs.alignment import places
from rageval.runs.inputs import read_questions
from rageval.runs.run import Run
from rageval.search.retrieval_rows import retrieval_row
from rageval.systems.system import System
from rageval.tables import RETRIEVAL, to_table

Indices: TypeAlias = NDArray[np.int64]

UNKNOWN: Final = "the system does not say what it was shown"
_COLUMNS: Final = ["question_id", "system", "repeat", "error", "context_ids", "context_scores", "context_texts"]
_QUESTIONS_AT_ONCE: Final = 4096


def store_brought(run: Run, config: EvaluationConfig, systems: Sequence[System]) -> None:
    """Write what such systems retrieved beside what retrievers found, each under its own name.

    Args:
        run: The run, its answers merged.
        config: How deep is measured, and what counts as relevant.
        systems: All systems of the run.
    """
    bringing = [system.name for system in systems if system.brings_contexts]
    if not bringing:
        return
    stored = run.read("retrieval") if run.has("retrieval") else RETRIEVAL.empty_table()
    others = stored.filter(pc.invert(pc.is_in(stored["retriever"], pa.array(bringing, pa.string()))))
    answers = run.mapped("answers").select(_COLUMNS)
    run.write_parts("retrieval", chain([others], *(_parts(run, name, answers, config) for name in bringing)))


def _parts(run: Run, name: str, answers: pa.Table, config: EvaluationConfig) -> Iterator[pa.Table]:
    """Yield what a system retrieved for each question, thousands of questions at a time; nothing if it never says."""
    mine = pc.and_(pc.equal(answers["system"], name), pc.equal(answers["repeat"], 1))
    if not pc.any(pc.and_(mine, pc.is_valid(answers["context_ids"]))).as_py():
        return
    numbers = np.flatnonzero(mine.to_numpy())
    at = places(run.read("questions", ["question_id"])["question_id"], answers["question_id"].filter(mine))
    questions = read_questions(run)
    for start in range(0, len(at), _QUESTIONS_AT_ONCE):
        rows = _rows(answers, numbers, at[start : start + _QUESTIONS_AT_ONCE])
        found = [_retrieval(name, question, row, config) for row, question in zip(rows, questions, strict=False)]
        yield to_table(found, RETRIEVAL)


def _rows(answers: pa.Table, numbers: Indices, at: Indices) -> list[dict[str, Any] | None]:
    """Return the row of each place in the numbers of rows, which mostly follow each other; None for -1."""
    known = numbers[at[at >= 0]]
    if not len(known):
        return [None] * len(at)
    first = int(known.min())
    rows = answers.slice(first, int(known.max()) - first + 1).to_pylist()
    return [rows[numbers[place] - first] if place >= 0 else None for place in at]


def _retrieval(name: str, question: Question, row: dict[str, Any] | None, config: EvaluationConfig) -> Retrieval:
    if row is None or row["context_ids"] is None:
        error = (row["error"] if row else None) or UNKNOWN
        return Retrieval(
            question_id=question.question_id, retriever=name, document_ids=(), scores=(), first_relevant_rank=None,
            latency_s=None, error=error,
        )  # fmt: skip
    scores = row["context_scores"] or []
    # Where it does not say, the rank stands for a score: higher is better, and means nothing beyond the row.
    known = scores if scores and None not in scores else [1 / rank for rank in range(1, len(row["context_ids"]) + 1)]
    hits: dict[str, Hit] = {}
    for id_, score in zip(row["context_ids"], known, strict=True):
        hits.setdefault(id_, Hit(document_id=id_, score=score))
    texts = dict(zip(row["context_ids"], row["context_texts"] or (), strict=False))
    return retrieval_row(name, question, list(hits.values()), None, config.retrieval, texts)
