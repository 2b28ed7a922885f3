"""Answers and scores of several repeats -> one of each question, and how far the repeats agree."""

from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rageval.metrics import catalogue
from rageval.metrics.metric import MeasuredMetric
from rageval.metrics.names import split_detail
from rageval.pages.formats import count, number
from rageval.runs.repeats import has_repeats
from rageval.tables import REPEATS

_ANSWER: Final = ["question_id", "system"]

ANSWERS_ALIKE: Final = "answers alike"
"""What the share of questions is called to which a system gives the very same answer each time."""


def once(answers: pa.Table, scores: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return tables with one row where repeats have several, so that these do not pass for more questions.

    A value is the mean over the repeats that have one; texts are those of the first repeat.

    Args:
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.
    """
    if not has_repeats(answers):
        return answers, scores
    measured = [m.column for m in catalogue.of_kind(MeasuredMetric) if m.table == "answers"]
    return _means(answers, _ANSWER, measured), _means(scores, [*_ANSWER, "metric"], ["value"])


def repeat_rows(repeats: pa.Table) -> list[dict[str, str]]:
    """Return the table of repeats in words: a row per system and metric."""
    return [
        {
            "system": row["system"],
            "metric": row["metric"],
            "questions": count(row["n"]),
            "values": count(row["values"]),
            "all alike": "" if row["agreement"] is None else number(row["agreement"]),
            "deviation": "" if row["deviation"] is None else number(row["deviation"]),
        }
        for row in repeats.to_pylist()
    ]


def repeats_table(answers: pa.Table, scores: pa.Table) -> pa.Table:
    """Return how far the repeats of each system agree, by metric.

    Args:
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.

    Returns:
        Table `tables.REPEATS`; without rows where every question was asked once.
    """
    if not has_repeats(answers):
        return REPEATS.empty_table()
    ok = answers.filter(pc.equal(answers["status"], "ok")).select(["question_id", "system", "answer"]).to_pandas()
    rows = [_agreement(system, ANSWERS_ALIKE, group, "answer") for system, group in ok.groupby("system", sort=False)]
    valued = scores.filter(pc.equal(scores["status"], "ok"))
    frame = valued.select(["question_id", "system", "metric", "value", "label"]).to_pandas()
    frame = frame[[split_detail(name)[1] is None for name in frame["metric"]]]
    for (system, metric), group in frame.groupby(["system", "metric"], sort=False):
        rows.append(_agreement(system, metric, group, "label" if group["label"].notna().all() else None))
    return pa.Table.from_pylist(rows, schema=REPEATS)


def _means(table: pa.Table, keys: list[str], columns: list[str]) -> pa.Table:
    """Return the first row of each key that has a value, or else the first, with the means of some columns."""
    frame = table.select([*keys, "repeat", "status", *columns]).to_pandas()
    frame["row"] = np.arange(len(frame))
    is_ok = (frame["status"] == "ok").to_numpy()
    ordered = frame.assign(lost=~is_ok).sort_values(["lost", "repeat"], kind="stable")
    first = ordered.drop_duplicates(keys).sort_values("row")
    means = frame.assign(**{c: frame[c].where(is_ok) for c in columns}).groupby(keys, sort=False)[columns].mean()
    found = table.take(pa.array(first["row"].to_numpy()))
    of_each = means.loc[pd.MultiIndex.from_frame(first[keys])]
    for name in columns:
        field = found.schema.field(name)
        kind = field.type if pa.types.is_floating(field.type) else pa.float64()
        values = pa.array(of_each[name].to_numpy(dtype=np.float64), kind, from_pandas=True)
        found = found.set_column(found.schema.get_field_index(name), pa.field(name, kind), values)
    return found


def _agreement(system: Any, metric: Any, group: pd.DataFrame, alike: str | None) -> dict[str, Any]:
    """Return a row: over questions with at least two repeats that have a value."""
    several = group.groupby("question_id").filter(lambda rows: len(rows) > 1)
    by_question = several.groupby("question_id", sort=False)
    n = by_question.ngroups if len(several) else 0
    row: dict[str, Any] = {"system": system, "metric": metric, "n": n, "values": len(several)}
    if n and alike:
        row["agreement"] = float((by_question[alike].nunique(dropna=False) == 1).mean())
    if n and "value" in group.columns:
        row["deviation"] = float(np.sqrt(by_question["value"].var(ddof=1).mean()))
    return row
