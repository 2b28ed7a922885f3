"""Questions that can and cannot be answered, and which of them a system refuses -> counts and shares with intervals."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rageval.metrics.refusal import REFUSAL
from rageval.pages.formats import count, number
from rageval.runs.clusters import clusters
from rageval.statistics.intervals import mean_interval
from rageval.tables import ABSTENTION

_GROUPS = ((True, "answerable"), (False, "not answerable"), (None, "not known"))


def abstention_table(questions: pa.Table, scores: pa.Table) -> pa.Table:
    """Return how many questions each system refuses, of those that can and those that cannot be answered.

    Args:
        questions: Table `tables.QUESTIONS`.
        scores: Table `tables.SCORES`, one row of each question, system and metric; gives the refusals.

    Returns:
        Table `tables.ABSTENTION`, a row per system and group of questions that has any; without rows where of no
        question it is known whether it can be answered, or refusals are not measured.
    """
    if questions["answerable"].null_count == len(questions):
        return ABSTENTION.empty_table()
    asked = questions.select(["question_id", "answerable"]).to_pandas().drop_duplicates("question_id")
    measured = pc.and_(pc.equal(scores["metric"], REFUSAL.name), pc.not_equal(scores["status"], "not_measured"))
    refusals = scores.select(["question_id", "system", "value"]).filter(measured)
    cluster = clusters(questions)
    rows = []
    for system, group in refusals.to_pandas().groupby("system", sort=False):
        values = group.set_index("question_id")["value"]
        for answerable, _ in _GROUPS:
            is_one = asked["answerable"].isna() if answerable is None else asked["answerable"].eq(answerable)
            ids = asked.loc[is_one, "question_id"]
            if len(ids):
                rows.append({"system": system, "answerable": answerable} | _counted(values.reindex(ids), cluster))
    return pa.Table.from_pylist(rows, schema=ABSTENTION)


def abstention_rows(abstention: pa.Table) -> list[dict[str, str]]:
    """Return the table in words: a row per system and group of questions, with the share refused in percent."""
    names = dict(_GROUPS)
    return [
        {
            "system": row["system"],
            "questions": names[row["answerable"]],
            "asked": count(row["n"]),
            "refused": _amount(row["refused"]),
            "answered": _amount(row["answered"]),
            "no value": count(row["n"] - row["n_scored"]),
            "share refused": _share(row),
        }
        for row in abstention.to_pylist()
    ]


def _counted(values: "pd.Series[float]", cluster: "pd.Series[int]") -> dict[str, Any]:
    known = values.dropna()
    found: dict[str, Any] = {"n": len(values), "n_scored": len(known), "refused": float(known.sum())}
    found["answered"] = found["n_scored"] - found["refused"]
    if len(known):
        interval = mean_interval(known.to_numpy(np.float64), cluster.reindex(known.index).to_numpy(), bounds=(0, 1))
        found["share"] = float(known.mean())
        found |= {"ci_low": interval.low, "ci_high": interval.high} if interval else {}
    return found


def _amount(questions: float) -> str:
    """Return a number of questions; of several repeats it need not be a whole one."""
    return count(int(questions)) if questions == int(questions) else f"{questions:.1f}"


def _share(row: dict[str, Any]) -> str:
    if row["share"] is None:
        return "no value"
    known = row["ci_low"] is not None
    return (
        f"{number(row['share'])} [{number(row['ci_low'])}, {number(row['ci_high'])}]"
        if known
        else (f"{number(row['share'])} [no interval]")
    )
