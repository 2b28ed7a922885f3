"""Scores, and what is known of the questions -> the scores that follow from these, as rows like all others.

They are computed whenever a run is read, and stored with no answer: so they never lag behind a verdict that is given
anew.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rageval.metrics import catalogue
from rageval.metrics.metric import Array, DerivedMetric
from rageval.metrics.refusal import REFUSAL
from rageval.metrics.truthfulness import VERDICTS
from rageval.tables import SCORES

_KEYS = ["question_id", "system", "repeat"]
_READ = [*_KEYS, "status", "value", "error", "metric_version", "judge_model"]
_SCHEMA = pa.schema([SCORES.field(name) for name in _READ])
_UNKNOWN = "nobody knows whether the question can be answered"
_OTHERS = {True: "the question cannot be answered", False: "the question can be answered"}


def with_derived(questions: pa.Table, scores: pa.Table) -> pa.Table:
    """Return the scores with a row of each derived metric for each answer, after all others.

    Args:
        questions: Table `tables.QUESTIONS`; says which can be answered.
        scores: Table `tables.SCORES`, of every repeat.

    Returns:
        Table `tables.SCORES`; as it was where of no question it is known whether it can be answered, or refusals are
        not measured. A metric that is measured of no question at all, or whose verdicts nobody was asked for, has no
        rows.
    """
    if questions["answerable"].null_count == len(questions):
        return scores
    answerable = _answerable(questions)
    refusals = _rows(scores, REFUSAL.name)
    if refusals.empty:
        return scores
    known = refusals["question_id"].map(answerable).to_numpy(dtype=np.float64)
    verdicts = _verdicts(scores)
    judged = refusals[_KEYS].merge(verdicts, on=_KEYS, how="left")
    made = [
        _made(metric, refusals, judged, known, _version(metric, refusals, verdicts))
        for metric in catalogue.of_kind(DerivedMetric)
        if _is_measured(metric, known) and (len(verdicts) or not metric.needs_verdict)
    ]
    fitting = [rows.select(scores.column_names).cast(scores.schema) for rows in made]
    return pa.concat_tables([scores, *fitting]).unify_dictionaries()


def _answerable(questions: pa.Table) -> "pd.Series[float]":
    """Return 1, 0 or NaN by question id."""
    values = pc.cast(questions["answerable"], pa.float64()).to_numpy()
    found = pd.Series(values, index=questions["question_id"].to_pandas(), dtype=np.float64)
    return found[~found.index.duplicated()]


def _rows(scores: pa.Table, metric: str) -> pd.DataFrame:
    return scores.select(_READ).filter(pc.equal(scores["metric"], metric)).cast(_SCHEMA).to_pandas()


def _verdicts(scores: pa.Table) -> pd.DataFrame:
    """Return what tells right from wrong of each answer: the first verdict that can be given on it."""
    found = [_rows(scores, name).assign(verdict=name) for name in VERDICTS]
    possible = pd.concat([rows[rows["status"] != "not_measured"] for rows in found], ignore_index=True)
    return possible.drop_duplicates(_KEYS)


def _is_measured(metric: DerivedMetric, known: Array) -> bool:
    return metric.of is None or bool((known == float(metric.of)).any())


def _made(metric: DerivedMetric, refusals: pd.DataFrame, judged: pd.DataFrame, known: Array, version: str) -> pa.Table:
    refused, verdict = (rows["value"].to_numpy(dtype=np.float64) for rows in (refusals, judged))
    values = metric.compute(refused, verdict, known)
    of_others = np.zeros(len(values), np.bool_) if metric.of is None else known != float(metric.of)
    values = np.where(of_others, np.nan, values)
    status, error = _missing(metric, refusals, judged, known, of_others)
    valued = np.isfinite(values)
    judges = judged["judge_model"] if metric.needs_verdict else np.full(len(values), None)
    columns = {name: pa.array(refusals[name]) for name in _KEYS} | {
        "metric": pa.repeat(metric.name, len(values)),
        "status": pa.array(np.where(valued, "ok", status), pa.string()),
        "value": pa.array(values, pa.float64(), from_pandas=True),
        "error": pa.array(error, pa.string(), mask=valued),
        "metric_version": pa.repeat(version, len(values)),
        "judge_model": pa.array(judges, pa.string(), from_pandas=True),
        "attempts": pa.repeat(0, len(values)),
    }
    arrays = [columns.get(field.name, pa.nulls(len(values), field.type)) for field in SCORES]
    return pa.Table.from_arrays(arrays, schema=SCORES)


def _missing(
    metric: DerivedMetric,
    refusals: pd.DataFrame,
    judged: pd.DataFrame,
    known: Array,
    of_others: NDArray[np.bool_],
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Return status and reason for each answer, should it have no value."""
    refusal_fails = (refusals["status"] != "ok").to_numpy()
    cause = refusals if not metric.needs_verdict else judged
    status = np.where(refusal_fails, refusals["status"], cause["status"].fillna("not_measured"))
    error = np.where(refusal_fails, refusals["error"], cause["error"].fillna("no verdict"))
    reason = np.where(np.isnan(known), _UNKNOWN, _OTHERS[metric.of is not False])
    return np.where(of_others, "not_measured", status), np.where(of_others, reason, error)


def _version(metric: DerivedMetric, refusals: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """Return the version of all its values, with those of everything that they follow from."""
    of = [(REFUSAL.name, refusals)]
    if metric.needs_verdict:
        of += [(str(name), rows) for name, rows in verdicts.groupby("verdict", sort=False)]
    sources = [f"{name} {version}" for name, rows in of for version in sorted(rows["metric_version"].unique())]
    return f"{metric.version} ({', '.join(sources)})"
