"""Values of questions -> values of the conversations they belong to, and means in which each of these counts once."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rageval.metrics.catalogue import bounds, compared, higher_is_better, in_order, lowest
from rageval.pages.formats import count, number
from rageval.statistics.intervals import mean_interval
from rageval.tables import CONVERSATIONS


def conversation_table(questions: pa.Table, scores: pa.Table) -> pa.Table:
    """Return the metrics that are compared by conversation, of conversations of which several turns are asked.

    Args:
        questions: Table `tables.QUESTIONS`.
        scores: Table `tables.SCORES`, one row of each question, system and metric.

    Returns:
        Table `tables.CONVERSATIONS`, a row per system, metric and conversation; without rows where no two questions
        belong to one conversation.
    """
    spoken = questions.select(["question_id", "conversation"]).filter(pc.not_equal(questions["conversation"], ""))
    asked = spoken.to_pandas().drop_duplicates("question_id")
    turns = asked["conversation"].value_counts()
    if not (turns > 1).any():
        return CONVERSATIONS.empty_table()
    known = scores.select(["question_id", "system", "metric", "value"]).filter(pc.equal(scores["status"], "ok"))
    names = [name for name in in_order(known["metric"].unique().to_pylist()) if name in compared()]
    rows = known.to_pandas().merge(asked[asked["conversation"].isin(turns.index)], on="question_id")
    tables = [_of_metric(name, rows[rows["metric"] == name], turns) for name in names]
    return pa.concat_tables([CONVERSATIONS.empty_table(), *tables])


def conversation_rows(conversations: pa.Table) -> list[dict[str, str]]:
    """Return a row of words per system and metric: the mean over conversations, and over their worst turns."""
    frame = conversations.to_pandas()
    return [
        {"system": str(system), "metric": str(metric)} | _words(str(metric), rows)
        for (system, metric), rows in frame.groupby(["system", "metric"], sort=False)
    ]


def _of_metric(metric: str, rows: pd.DataFrame, turns: "pd.Series[int]") -> pa.Table:
    worst = "max" if higher_is_better(metric) is False else "min"
    found = rows.groupby(["system", "metric", "conversation"], sort=False)["value"].agg(["mean", worst, "size"])
    frame = found.reset_index().rename(columns={"size": "n_scored", worst: "worst"})
    frame["turns"] = frame["conversation"].map(turns)
    return pa.Table.from_pandas(frame[CONVERSATIONS.names], schema=CONVERSATIONS, preserve_index=False)


def _words(metric: str, rows: pd.DataFrame) -> dict[str, str]:
    means = rows["mean"].to_numpy(np.float64)
    interval = mean_interval(means, np.arange(len(means)), bounds=bounds(metric), lowest=lowest(metric))
    ends = f"[{number(interval.low)}, {number(interval.high)}]" if interval else "[no interval]"
    return {
        "conversations": count(len(rows)),
        "turns with a value": f"{count(rows['n_scored'].sum())}/{count(rows['turns'].sum())}",
        "mean of conversations": f"{number(float(means.mean()))} {ends}",
        "mean of worst turns": number(float(rows["worst"].mean())),
    }
