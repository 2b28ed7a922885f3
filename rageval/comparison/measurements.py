"""The tables of a run -> one value per question of each system or retriever and metric, and how it was measured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rageval.comparison.retrieval_values import has_relevant, retrieval_values
from rageval.comparison.summary import answer_columns
from rageval.config.depth import RetrievalDepth, retrieval_depth
from rageval.metrics.catalogue import in_order
from rageval.metrics.measured import SEARCH_LATENCY
from rageval.metrics.names import split_detail
from rageval.runs.alignment import rows_by
from rageval.runs.manifest import Manifest


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a metric is measured of: the answers of a system, or the results of a retriever."""

    name: str
    is_retriever: bool = False


Key: TypeAlias = tuple[Subject, str]
"""What a metric is measured of, and the metric."""


@dataclass(frozen=True, kw_only=True)
class RunTables:
    """What a comparison reads of a run."""

    name: str
    """What the run is called beside the other one: its id, or its folder where both have the same id."""
    manifest: Manifest
    documents: pa.Table
    questions: pa.Table
    systems: pa.Table
    retrieval: pa.Table
    answers: pa.Table
    scores: pa.Table
    unfit: frozenset[str] = frozenset()
    """Metrics whose judge is unfit: nothing may be ranked by them."""

    @property
    def depth(self) -> RetrievalDepth:
        """Ranks down to which its retrieval metrics can be computed, and which documents count as right."""
        return retrieval_depth(self.manifest.config.retrieval)

    @property
    def top_k(self) -> int:
        """Rank down to which the leading retrieval metrics count."""
        return self.depth.top_k


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One metric of one system or retriever: the values that are there, and what they were measured with."""

    subject: Subject
    metric: str
    values: pd.Series
    """Finite numbers by question id; a question without a value is not in it."""
    versions: tuple[str, ...] = ()
    """Every `metric_version` of the values, sorted; empty for a metric of the retrieval."""
    judges: tuple[str, ...] = ()
    """Every `judge_model` of the values, sorted; empty where no judge is involved."""

    @property
    def key(self) -> Key:
        """What tells it from the other measurements of its run."""
        return (self.subject, self.metric)


def measurements(run: RunTables, cutoffs: Sequence[int]) -> dict[Key, Measurement]:
    """Return everything that was measured: retrieval first, then the answers; details of metrics are left out.

    Args:
        run: The run.
        cutoffs: Ranks at which the retrieval metrics are taken; those that its documents reach down to count, the
            others are left out.

    Returns:
        Measurements in the order of retrievers and systems in the tables, and of the catalogue; latency, tokens and
        cost come last. A metric that was asked for but has no value is there, with empty `values`, unless it
        could not be measured at all. What an earlier run has answered has no latency, tokens and cost of its own.
    """
    found = [*_retrieval(run, cutoffs), *_answers(run.scores), *_columns(run.answers)]
    return {measurement.key: measurement for measurement in found}


def _retrieval(run: RunTables, cutoffs: Sequence[int]) -> Iterator[Measurement]:
    deepest = max(run.depth.cutoffs, default=run.top_k)
    wanted = sorted({k for k in cutoffs if 1 <= k <= deepest})
    alternates = run.depth.accept_alternates
    values = {}
    if has_relevant(run.questions, run.retrieval).any():
        values = retrieval_values(run.questions, run.retrieval, wanted, accept_alternates=alternates)
    frame = run.retrieval.select(["question_id", "retriever", SEARCH_LATENCY.column]).to_pandas()
    for retriever, group in frame.groupby("retriever", sort=False):
        subject, rows = Subject(name=str(retriever), is_retriever=True), group.index.to_numpy()
        for metric, of_all in values.items():
            by_question = pd.Series(of_all[rows], index=group["question_id"]).dropna()
            yield Measurement(subject=subject, metric=metric, values=by_question)
        latency = pd.Series(group[SEARCH_LATENCY.column].to_numpy(dtype=np.float64), index=group["question_id"])
        yield Measurement(subject=subject, metric=SEARCH_LATENCY.name, values=latency)


def _answers(scores: pa.Table) -> Iterator[Measurement]:
    columns = scores.select(["question_id", "status", "value", "metric_version", "judge_model"])
    names = in_order(n for n in scores["metric"].unique().to_pylist() if split_detail(n)[1] is None)
    rows_of = rows_by(scores, ["system", "metric"])
    for system in dict.fromkeys(system for system, _ in rows_of):
        for metric in names:
            rows = rows_of.get((system, metric))
            group = None if rows is None else columns.take(pa.array(rows))
            if group is None or pc.all(pc.equal(group["status"], "not_measured")).as_py():
                continue
            valued = group.filter(pc.and_(pc.equal(group["status"], "ok"), pc.is_finite(group["value"])))
            yield Measurement(
                subject=Subject(name=system),
                metric=metric,
                values=_by_question(valued["question_id"], valued["value"]),
                versions=_distinct(valued["metric_version"]),
                judges=_distinct(valued["judge_model"]),
            )


def _columns(answers: pa.Table) -> Iterator[Measurement]:
    columns = answer_columns()
    asked = answers.select(["question_id", "system", *columns.values()]).filter(pc.is_null(answers["reused_from"]))
    for (system,), rows in rows_by(asked, ["system"]).items():
        for metric, column in columns.items():
            group = asked.select(["question_id", column]).take(pa.array(rows))
            known = group.filter(pc.is_valid(group[column]))
            values = _by_question(known["question_id"], known[column].cast(pa.float64()))
            yield Measurement(subject=Subject(name=system), metric=metric, values=values)


def _by_question(ids: pa.ChunkedArray, values: pa.ChunkedArray) -> pd.Series:
    return pd.Series(values.to_numpy(), index=pd.Index(ids.to_pandas(), name="question_id"), dtype=np.float64)


def _distinct(values: pa.ChunkedArray) -> tuple[str, ...]:
    return tuple(sorted(values.unique().drop_null().to_pylist()))
