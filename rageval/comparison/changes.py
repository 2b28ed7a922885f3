"""Two runs -> the questions that got better or worse the most, with everything to read them side by side."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rageval.comparison.measurements import RunTables, Subject
from rageval.comparison.paired_values import PairedValues
from rageval.comparison.pairing import Pair
from rageval.comparison.run_comparison import RunComparison
from rageval.comparison.scored import MetricValue
from rageval.metrics.catalogue import compared, higher_is_better, in_order
from rageval.metrics.names import metric_of, split_detail
from rageval.tables import relevant_ids

_Row: TypeAlias = Mapping[str, Any]
_Key: TypeAlias = tuple[str, Subject]
_Keyed: TypeAlias = Mapping[_Key, _Row]


@dataclass(frozen=True, kw_only=True)
class OneSide:
    """What one run made of a question."""

    value: float
    text: str
    """The answer, or what was found, or why there is none."""
    scores: Sequence[MetricValue]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One question in both runs."""

    question_id: str
    question: str
    references: Sequence[str]
    a: OneSide
    b: OneSide


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The questions of one system or retriever that changed most in its leading metric."""

    pair: Pair
    metric: str
    better: Sequence[Change]
    """The largest gains of the candidate first."""
    worse: Sequence[Change]
    """The largest losses of the candidate first."""


def largest_changes(comparison: RunComparison, limit: int) -> list[Changes]:
    """Return the largest gains and losses of every system and retriever, at most `limit` of each.

    The metric is the first one of those that are compared anyway; what changed alike in it is ordered by the next one,
    then by the order of the questions.
    """
    by_pair: dict[Pair, dict[str, PairedValues]] = {}
    for values in comparison.values:
        if higher_is_better(values.metric):
            by_pair.setdefault(values.pair, {})[metric_of(values.metric)] = values
    chosen = [
        (pair, leading[0].metric, *_ends(leading, limit))
        for pair, of_pair in by_pair.items()
        if (leading := [of_pair[name] for name in compared() if name in of_pair])
    ]
    ids = pa.array(sorted({id_ for _, _, *ends in chosen for end in ends for id_ in end}), pa.string())
    sides = [_RunRows.up(run, ids) for run in (comparison.a, comparison.b)]
    found = []
    for pair, metric, better, worse in chosen:
        values = by_pair[pair][metric_of(metric)]
        at = {id_: place for place, id_ in enumerate(values.question_ids)}
        lists = [
            [_change(id_, pair, (values.a[at[id_]], values.b[at[id_]]), sides) for id_ in end]
            for end in (better, worse)
        ]
        found.append(Changes(pair=pair, metric=metric, better=lists[0], worse=lists[1]))
    return found


def _ends(leading: Sequence[PairedValues], limit: int) -> tuple[list[str], list[str]]:
    """Return the questions with the largest gains and with the largest losses."""
    gains = [np.nan_to_num(values.b - values.a, nan=0.0) for values in leading[:2]]
    ids = leading[0].question_ids
    ends = []
    for sign in (-1, 1):
        order = np.lexsort([sign * gain for gain in reversed(gains)])
        changed = order[sign * gains[0][order] < 0]
        ends.append([str(id_) for id_ in ids[changed[:limit]]])
    return ends[0], ends[1]


@dataclass(frozen=True, kw_only=True)
class _RunRows:
    """The rows of one run that the changes need."""

    questions: Mapping[str, _Row]
    documents: Mapping[str, _Row]
    answers: _Keyed
    found: _Keyed
    scores: Mapping[_Key, Sequence[MetricValue]]

    @classmethod
    def up(cls, run: RunTables, ids: pa.Array) -> "_RunRows":
        questions = {row["question_id"]: row for row in _of(run.questions, "question_id", ids)}
        found: dict[_Key, _Row] = {
            (row["question_id"], Subject(name=row["retriever"], is_retriever=True)): row
            for row in _of(run.retrieval, "question_id", ids)
        }
        documents: set[str] = set().union(*(row["document_ids"] for row in found.values()))
        wanted = pa.array(sorted(documents), pa.string())
        return cls(
            questions=questions,
            documents={row["document_id"]: row for row in _of(run.documents, "document_id", wanted)},
            answers={_key(row): row for row in _of(run.answers, "question_id", ids)},
            found=found,
            scores=_scores(_of(run.scores, "question_id", ids)),
        )

    def side(self, question_id: str, subject: Subject, value: float) -> OneSide:
        key = (question_id, subject)
        return OneSide(value=float(value), text=self._text(key), scores=self.scores.get(key, ()))

    def _text(self, key: _Key) -> str:
        if key[1].is_retriever:
            return "\n".join(self._hits(key)) or "nothing was found"
        answer = self.answers.get(key, {})
        return str(answer.get("answer") or f"no answer: {answer.get('error') or 'it was not asked for'}")

    def _hits(self, key: _Key) -> Iterator[str]:
        right = relevant_ids(self.questions[key[0]])
        for rank, hit in enumerate(self.found.get(key, {}).get("document_ids", ()), start=1):
            mark = " (right document)" if hit in right else ""
            yield f"{rank}. {self.documents.get(hit, {}).get('title') or hit}{mark}"


def _of(table: pa.Table, column: str, ids: pa.Array) -> Iterable[_Row]:
    rows: list[_Row] = table.filter(pc.is_in(table[column], ids)).to_pylist()
    return rows


def _key(row: _Row) -> _Key:
    return (row["question_id"], Subject(name=row["system"]))


def _scores(rows: Iterable[_Row]) -> dict[_Key, list[MetricValue]]:
    plain = [row for row in rows if split_detail(row["metric"])[1] is None]
    order = in_order(row["metric"] for row in plain)
    found: dict[_Key, list[MetricValue]] = {}
    for row in sorted(plain, key=lambda row: order.index(row["metric"])):
        scored = MetricValue(**{name: row[name] for name in ("metric", "value", "label", "reason", "error")})
        found.setdefault(_key(row), []).append(scored)
    return found


def _change(question_id: str, pair: Pair, values: tuple[float, float], sides: Sequence[_RunRows]) -> Change:
    asked = sides[0].questions[question_id]
    return Change(
        question_id=question_id,
        question=asked["question"],
        references=asked["references"],
        a=sides[0].side(question_id, pair.a, values[0]),
        b=sides[1].side(question_id, pair.b, values[1]),
    )
