"""Runs made by hand: tables with the values that a test wants, written as a real run writes them.

write_run(tmp_path / "a", scores={"m1": {"cosine": [0.8, 0.7, None]}})
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from rageval.config.evaluation import EvaluationConfig
from rageval.metrics.catalogue import find
from rageval.metrics.metric import JudgeMetric
from rageval.runs.run import Run
from rageval.tables import ANSWERS, DOCUMENTS, QUESTIONS, RETRIEVAL, SCORES, SYSTEMS

Values = Sequence[float | None]
START = datetime(2026, 1, 1, tzinfo=UTC)


def write_run(
    folder: Path,
    *,
    scores: Mapping[str, Mapping[str, Values]],
    ranks: Mapping[str, Sequence[int | None]] | None = None,
    per_document: int = 1,
    first_question: int = 0,
    judge: str | Mapping[str, str] = "judge-1",
    version: str = "1",
    systems: Mapping[str, Mapping[str, str | None]] | None = None,
    status: str = "complete",
    started_at: str = "2026-01-01T00:00:00+00:00",
    cost_usd: float | None = 0.001,
    texts: str = "text",
    config: Mapping[str, Any] | None = None,
    embedding_model: str = "minilm@1",
    manifest: Mapping[str, Any] | None = None,
) -> Run:
    """Write a run whose answers have these scores by system and metric; None is an unscored answer.

    Question i is `q{first_question + i}`, about the document `d{... // per_document}`. `ranks` holds the rank of the
    first right document by retriever. `judge` may differ by system. `systems` says what a system is made of, where that
    is not a pipeline of a model of its own with the first retriever.
    """
    n = len(next(iter(next(iter(scores.values())).values())))
    run = Run(str(folder))
    ids = [f"q{first_question + i}" for i in range(n)]
    documents = [f"d{(first_question + i) // per_document}" for i in range(n)]
    ranks = ranks or {"vector": [1] * n}
    first = next(iter(ranks))
    tables = {
        "documents": (_documents(documents, texts), DOCUMENTS),
        "questions": (_questions(ids, documents, texts), QUESTIONS),
        "systems": ([_system(name, first, (systems or {}).get(name, {})) for name in scores], SYSTEMS),
        "retrieval": ([row for name in ranks for row in _found(ids, documents, name, ranks[name])], RETRIEVAL),
        "answers": (
            [
                _answer(id_, system, cost_usd, _shown(document, rank))
                for system in scores
                for id_, document, rank in zip(ids, documents, ranks[first], strict=True)
            ],
            ANSWERS,
        ),
        "scores": (
            [
                _score(id_, system, metric, value, judge if isinstance(judge, str) else judge[system], version)
                for system, metrics in scores.items()
                for metric, values in metrics.items()
                for id_, value in zip(ids, values, strict=True)
            ],
            SCORES,
        ),
    }
    for name, (rows, schema) in tables.items():
        run.write(name, pa.Table.from_pylist(rows, schema=schema))
    settings = EvaluationConfig.model_validate({"models": list(scores), **(config or {})})
    run.write_json(
        "run.json",
        {
            "run_id": run.run_id,
            "status": status,
            "reason": None if status == "complete" else "it was interrupted",
            "started_at": started_at,
            "config": settings.model_dump(mode="json"),
            "dataset": {
                "documents": n // per_document,
                "questions": n,
                "documents_fingerprint": texts,
                "questions_fingerprint": f"{first_question}+{n}",
                "notes": [],
            },
            "index": {
                "name": "index",
                "backend": "embedded",
                "fingerprint": "f",
                "embedding_model": embedding_model,
                "documents": n // per_document,
                "embedded": 0,
                "rebuilt": False,
                "longest": None,
                "too_long": 0,
                "too_long_ids": [],
                "warning": None,
            },
            **(manifest or {}),
        },
    )
    return run


def _documents(documents: Sequence[str], text: str) -> list[dict[str, Any]]:
    return [
        {"document_id": d, "title": f"Title {d}", "text": f"{text} {d}", "metadata": {"course": "c"}}
        | {"content_hash": text}
        for d in dict.fromkeys(documents)
    ]


def _questions(ids: Sequence[str], documents: Sequence[str], text: str) -> list[dict[str, Any]]:
    return [
        question_row(id_, document, question=f"What about {id_}?", filter_value="c", references=[f"{text} {document}"])
        for id_, document in zip(ids, documents, strict=True)
    ]


def question_row(question_id: str, document: str, **columns: Any) -> dict[str, Any]:
    """Return a row of the table of questions with one relevant document."""
    row = {"question_id": question_id, "question": "", "filter_value": "", "relevant_ids": [document]}
    row |= {"relevant_grades": [1], "conversation": "", "answerable": None, "tags": {}}
    empty = ("history", "references", "alternate_ids", "alternate_grades", "relevant_texts")
    return row | {name: [] for name in empty} | columns


def _system(name: str, retriever: str, parts: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        "system": name, "kind": "pipeline", "retriever": retriever, "prompt": "default", "prompt_hash": "p",
        "prompt_system": "", "prompt_user": "{{ question }}", "model": name, "parameters": "{}", **parts,
    }  # fmt: skip


def _shown(document: str, rank: int | None) -> list[str]:
    """Return the five documents that a model is shown if the right one is at that rank."""
    return [document if number == rank else f"x{number}" for number in range(1, 6)]


def _found(
    ids: Sequence[str], documents: Sequence[str], retriever: str, ranks: Sequence[int | None]
) -> list[dict[str, Any]]:
    return [
        {"question_id": id_, "retriever": retriever, "first_relevant_rank": rank, "latency_s": 0.01}
        | {"document_ids": [d if number == rank else f"x{number}" for number in range(1, 11)], "scores": [1.0] * 10}
        for id_, d, rank in zip(ids, documents, ranks, strict=True)
    ]


def _answer(id_: str, system: str, cost_usd: float | None, context_ids: list[str]) -> dict[str, Any]:
    return {
        "question_id": id_, "system": system, "repeat": 1, "status": "ok", "answer": f"{system} on {id_}",
        "context_ids": context_ids, "error": None, "attempts": 1, "finish_reason": "stop",
        "prompt_tokens": 100, "completion_tokens": 20,
        "cost_usd": cost_usd, "latency_s": 1.5, "request_fingerprint": "", "started_at": START,
    }  # fmt: skip


def _score(id_: str, system: str, metric: str, value: float | None, judge: str, version: str) -> dict[str, Any]:
    judged = isinstance(find(metric), JudgeMetric)
    label = {1.0: "RELEVANT", 0.5: "PARTLY_RELEVANT", 0.0: "NON_RELEVANT"}.get(value) if judged else None  # type: ignore[arg-type]  # None is no key
    return {
        "question_id": id_, "system": system, "repeat": 1, "metric": metric,
        "status": "unscored" if value is None else "ok", "value": value, "label": label,
        "reason": "because" if judged and value is not None else None, "error": "no JSON" if value is None else None,
        "metric_version": version, "judge_model": judge if judged else None, "attempts": int(judged),
    }  # fmt: skip
