"""Answers of systems that bring their own contexts -> what they retrieved, as rows of the `retrieval` table."""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rageval.config.evaluation import EvaluationConfig
from rageval.records import Hit, Question, Retrieval
from rageval.runs.inputs import read_questions
from rageval.runs.run import Run
from rageval.search.retrieval_rows import retrieval_row
from rageval.systems.system import System
from rageval.tables import RETRIEVAL, to_table

UNKNOWN: Final = "the system does not say what it was shown"


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
    answers = run.read("answers")
    stored = run.read("retrieval") if run.has("retrieval") else RETRIEVAL.empty_table()
    others = stored.filter(pc.invert(pc.is_in(stored["retriever"], pa.array(bringing, pa.string()))))
    tables = [others]
    for name in bringing:
        wanted = pc.and_(pc.equal(answers["system"], name), pc.equal(answers["repeat"], 1))
        rows = {row["question_id"]: row for row in answers.filter(wanted).to_pylist()}
        if any(row["context_ids"] is not None for row in rows.values()):
            found = [
                _retrieval(name, question, rows.get(question.question_id), config) for question in read_questions(run)
            ]
            tables.append(to_table(found, RETRIEVAL))
    run.write("retrieval", pa.concat_tables(tables))


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
