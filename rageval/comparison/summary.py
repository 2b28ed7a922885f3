"""The tables of a run -> one row of statistics per system or retriever and metric.

A row without a value lowers `n_scored`, never the mean.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rageval.comparison.retrieval_values import has_relevant, retrieval_values
from rageval.metrics import catalogue
from rageval.metrics.catalogue import bounds, lowest
from rageval.metrics.measured import SEARCH_LATENCY
from rageval.metrics.metric import MeasuredMetric
from rageval.metrics.names import split_detail
from rageval.runs.alignment import places, rows_by
from rageval.runs.clusters import clusters
from rageval.statistics.intervals import mean_interval
from rageval.tables import SUMMARY

Values: TypeAlias = NDArray[np.float64]
"""One number per row; NaN where the row has none."""

LABEL_COUNTS = pa.schema(
    [
        pa.field("system", pa.string(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("n", pa.int64(), nullable=False),
    ]
)


def summarize(
    questions: pa.Table,
    retrieval: pa.Table,
    answers: pa.Table,
    scores: pa.Table,
    top_k: int,
    *,
    cutoffs: Sequence[int] = (),
    accept_alternates: bool = False,
) -> pa.Table:
    """Return the statistics of a run.

    Retrieval comes first, then the answers; retrievers and systems in the order of their first row.
    `n` counts the run's questions, so an answer that was never asked for and a score that was never written
    count as failed. Percentiles interpolate linearly. The interval is that of `mean_interval` at 95 %, clustered by the
    questions' documents; all statistics are null where no row has a value.

    Args:
        questions: Table `tables.QUESTIONS`; gives each question's document.
        retrieval: Table `tables.RETRIEVAL`.
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`; a value counts only where its status is ok.
        top_k: Ranks that count for the leading retrieval metrics, at least 1.
        cutoffs: More ranks down to which retrieval metrics are computed, each at least 1.
        accept_alternates: Whether the other documents of the same question are right as well.

    Returns:
        Table `tables.SUMMARY`.

    Raises:
        ValueError: If `top_k` is below 1, a row belongs to a question that is not in `questions`, or a group
            has more scores of one metric than there are questions.
    """
    if top_k < 1:
        raise ValueError(f"expected top_k of at least 1, got {top_k}")
    of_question = clusters(questions)
    values = retrieval_values(questions, retrieval, sorted({top_k, *cutoffs}), accept_alternates=accept_alternates)
    rows = [*_retrieval_rows(questions, retrieval, values, of_question), *_answer_rows(answers, scores, of_question)]
    return pa.Table.from_pylist(rows, schema=SUMMARY)


def label_counts(scores: pa.Table) -> pa.Table:
    """Return how many scores of each system and metric have which status and label.

    Args:
        scores: Table `tables.SCORES`.

    Returns:
        Table `LABEL_COUNTS`, in the order of first appearance; `label` is null where there is none.
    """
    keys = ["system", "metric", "status", "label"]
    counted = scores.select(keys).unify_dictionaries().group_by(keys, use_threads=False).aggregate([([], "count_all")])
    return counted.rename_columns([*keys, "n"]).cast(LABEL_COUNTS)


def answer_columns() -> dict[str, str]:
    """Return the metrics that are columns of the answers table, with the names of these."""
    measured = catalogue.of_kind(MeasuredMetric)
    return {metric.name: metric.column for metric in measured if metric.table == "answers"}


def _clusters_of(ids: pa.ChunkedArray, of_question: pd.Series, name: str) -> NDArray[np.int64]:
    """Return the cluster of each of these questions."""
    at = places(ids, of_question.index)
    if (at < 0).any():
        stranger = ids[int((at < 0).argmax())].as_py()
        raise ValueError(f"{name} holds question_id {stranger!r}, which is not in the questions table")
    found: NDArray[np.int64] = of_question.to_numpy()[at]
    return found


def _retrieval_rows(
    questions: pa.Table, retrieval: pa.Table, values: Mapping[str, Values], of_question: pd.Series
) -> Iterator[dict[str, Any]]:
    owners = _clusters_of(retrieval["question_id"], of_question, "retrieval")
    metrics = {**values, SEARCH_LATENCY.name: _numbers(retrieval[SEARCH_LATENCY.column])}
    n_known = int(has_relevant(questions, pa.table({"question_id": questions["question_id"]})).sum())
    for (retriever,), rows in rows_by(retrieval, ["retriever"]).items():
        for metric, of_all in metrics.items():
            known = np.isfinite(of_all[rows]).any()
            asked = n_known if metric in values else len(of_question) if known else 0
            statistics = _statistics(metric, of_all[rows], owners[rows], asked)
            if asked:
                yield {"system": None, "retriever": retriever, "metric": metric, **statistics}


def _answer_rows(answers: pa.Table, scores: pa.Table, of_question: pd.Series) -> Iterator[dict[str, Any]]:
    metrics = catalogue.in_order(n for n in scores["metric"].unique().to_pylist() if split_detail(n)[1] is None)
    columns = scores.select(["question_id", "status", "value"])
    rows_of = rows_by(scores, ["system", "metric"])
    groups = rows_by(answers, ["system"])
    scored = {system for system, _ in rows_of}
    if strangers := [system for system in scored if (system,) not in groups]:
        raise ValueError(f"scores of {strangers[0]} belong to no answers")
    for (system,), rows in groups.items():
        for metric in metrics:
            part = columns.take(pa.array(rows_of.get((system, metric), np.empty(0, np.int64))))
            unmeasured = pc.sum(pc.equal(part["status"], "not_measured")).as_py() or 0
            asked_for = len(of_question) - unmeasured
            valued = part.filter(pc.equal(part["status"], "ok"))
            owners = _clusters_of(valued["question_id"], of_question, "scores")
            if not asked_for:
                continue  # it was not measured of any question, see `report.not_measured`
            statistics = _statistics(metric, _numbers(valued["value"]), owners, asked_for)
            if statistics["n_failed"] < 0:
                raise ValueError(f"{system} has more scores of {metric} than there are questions")
            yield {"system": system, "retriever": None, "metric": metric, **statistics}
        owners = _clusters_of(answers["question_id"].take(pa.array(rows)), of_question, "answers")
        for metric, column in answer_columns().items():
            statistics = _statistics(metric, _numbers(answers[column])[rows], owners, len(of_question))
            yield {"system": system, "retriever": None, "metric": metric, **statistics}


def _numbers(column: pa.ChunkedArray) -> Values:
    """Return a column as numbers, NaN where it is null."""
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _statistics(metric: str, values: Values, clusters: NDArray[np.int64], n: int) -> dict[str, Any]:
    """Return all statistics of one group; null where it has no values."""
    known = np.isfinite(values)
    x = values[known]
    statistics: dict[str, Any] = {"n": n, "n_scored": x.size, "n_failed": n - x.size}
    if not x.size:
        return statistics
    interval = mean_interval(x, clusters[known], bounds=bounds(metric), lowest=lowest(metric))
    return statistics | {
        "mean": float(x.mean()),
        "median": float(np.median(x)),
        "ci_low": interval and interval.low,
        "ci_high": interval and interval.high,
        "total": float(x.sum()),
        "p95": float(np.percentile(x, 95)),
    }
