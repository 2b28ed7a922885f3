"""The tables of a run -> the answers with the lowest scores, with everything needed to see why."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rageval.comparison.scored import MetricValue
from rageval.metrics.catalogue import headline, higher_is_better, in_order
from rageval.metrics.grades import Values
from rageval.metrics.metric import ScoreMetric
from rageval.metrics.names import split_detail
from rageval.runs.alignment import aligned, rows_by
from rageval.tables import relevant_ids

KEYS = ["question_id", "system"]
_SHOWN = [*KEYS, "answer", "context_ids", "context_texts"]


@dataclass(frozen=True, kw_only=True)
class RankedContext:
    """One document that the model was shown."""

    rank: int
    document_id: str
    title: str
    text: str
    right: bool
    """Whether the ground truth names it for the question."""


@dataclass(frozen=True, kw_only=True)
class WorstAnswer:
    """One answer with low scores."""

    system: str
    question: str
    references: Sequence[str]
    answer: str
    scores: Sequence[MetricValue]
    contexts: Sequence[RankedContext] | None
    """None where nobody knows what it was shown."""
    has_right: bool
    """Whether any document is known to be right."""


def worst_order(unfit: Collection[str]) -> list[str]:
    """Return the metrics to sort by, the first one first, without those whose judge is unfit."""
    return [metric for metric in headline(ScoreMetric) if metric not in unfit]


def worst_answers(
    documents: pa.Table,
    questions: pa.Table,
    answers: pa.Table,
    scores: pa.Table,
    *,
    limit: int,
    labels: pa.Table | None = None,
    unfit: Collection[str] = frozenset(),
) -> dict[str, list[WorstAnswer]]:
    """Return each system's worst answers: by the first metric of the headline, then by the next one.

    An answer without the one value comes after those that have it; answers without either, and failed ones,
    are left out. Ties keep the order of the answers table.

    Args:
        documents: Table `tables.DOCUMENTS`.
        questions: Table `tables.QUESTIONS`.
        answers: Table `tables.ANSWERS`; gives the contexts.
        scores: Table `tables.SCORES`.
        limit: Answers per system.
        labels: Table `tables.HUMAN_LABELS`; shown beside the scores, not sorted by.
        unfit: Metrics that are not sorted by, because their judge is unfit.
    """
    chosen = _lowest(answers, scores, limit, worst_order(unfit))
    ids = pa.array(sorted({row["question_id"] for row in chosen}), pa.string())
    asked = {row["question_id"]: row for row in _of(questions, "question_id", ids).to_pylist()}
    grades = _grades(_of(scores, "question_id", ids))
    for row in [] if labels is None else _of(labels, "question_id", ids).to_pylist():
        human = MetricValue(metric="human label", value=None, label=row["label"], reason=None, error=None)
        grades.setdefault(tuple(row[key] for key in KEYS), []).append(human)
    texts = _texts(documents, chosen)
    worst: dict[str, list[WorstAnswer]] = {row["system"]: [] for row in chosen}
    for row in chosen:
        question = asked[row["question_id"]]
        worst[row["system"]].append(
            WorstAnswer(
                system=row["system"],
                question=question["question"],
                references=question["references"],
                answer=row["answer"],
                scores=grades.get(tuple(row[key] for key in KEYS), []),
                contexts=None if row["context_ids"] is None else _contexts(row["context_ids"], question, texts),
                has_right=bool(relevant_ids(question)),
            )
        )
    return worst


def _texts(documents: pa.Table, answers: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return the contexts by id: documents, or else what the answers brought."""
    brought = {
        id_: {"text": text}
        for row in answers
        for id_, text in zip(row["context_ids"] or (), row["context_texts"] or (), strict=False)
        if text is not None
    }
    needed = {id_ for row in answers for id_ in row["context_ids"] or ()}
    rows = _of(documents, "document_id", pa.array(sorted(needed), pa.string())).to_pylist()
    return brought | {row["document_id"]: row for row in rows}


def _of(table: pa.Table, column: str, ids: pa.Array) -> pa.Table:
    return table.filter(pc.is_in(table[column], ids))


def _lowest(answers: pa.Table, scores: pa.Table, limit: int, order: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of the answers that are shown, system by system, the worst first."""
    measured = scores["metric"].unique().to_pylist()
    order = [metric for metric in order if metric in measured]
    rising = [higher_is_better(metric) is not False for metric in order]
    chosen = []
    for (system,), rows in rows_by(answers, ["system"]).items() if order else ():
        ids = answers["question_id"].take(pa.array(rows))
        frame = pd.DataFrame({metric: _values(scores, system, metric, ids) for metric in order}, index=rows)
        frame = frame[pc.equal(answers["status"].take(pa.array(rows)), "ok").to_numpy()].dropna(how="all")
        ranked = frame.sort_values(list(order), ascending=rising, kind="stable", na_position="last")
        chosen.append((frame.index.min(), ranked.index[:limit]))
    chosen = [worst for _, worst in sorted((first, tuple(worst)) for first, worst in chosen if len(worst))]
    shown = answers.select(_SHOWN)  # row by row, since `take` copies the texts of all others together first
    return [shown.slice(int(row), 1).to_pylist()[0] for worst in chosen for row in worst]


def _values(scores: pa.Table, system: str, metric: str, ids: pa.ChunkedArray) -> Values:
    """Return the values of a metric of one system, in the order of the ids."""
    is_one = pc.and_(pc.equal(scores["metric"], metric), pc.equal(scores["status"], "ok"))
    rows = scores.select(["question_id", "value"]).filter(pc.and_(is_one, pc.equal(scores["system"], system)))
    return aligned(rows["question_id"], rows["value"], ids)


def _grades(scores: pa.Table) -> dict[tuple[str, ...], list[MetricValue]]:
    grades: dict[tuple[str, ...], list[MetricValue]] = {}
    order = in_order(scores["metric"].unique().to_pylist())
    own = [row for row in scores.to_pylist() if split_detail(row["metric"])[1] is None]
    for row in sorted(own, key=lambda row: order.index(row["metric"])):
        fields = {name: row[name] for name in ("metric", "value", "label", "reason", "error")}
        grades.setdefault(tuple(row[key] for key in KEYS), []).append(MetricValue(**fields))
    return grades


def _contexts(
    context_ids: Sequence[str], question: Mapping[str, Any], texts: Mapping[str, Mapping[str, Any]]
) -> list[RankedContext]:
    right = relevant_ids(question)
    return [
        RankedContext(
            rank=rank,
            document_id=hit,
            title=texts.get(hit, {}).get("title", ""),
            text=texts.get(hit, {}).get("text", ""),
            right=hit in right,
        )
        for rank, hit in enumerate(context_ids, start=1)
    ]
