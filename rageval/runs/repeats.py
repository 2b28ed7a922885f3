"""Answers of several repeats and their scores -> those of one repeat of each question."""

from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_ANSWER: Final = ["question_id", "system"]


def has_repeats(answers: pa.Table) -> bool:
    """Return whether a system has several answers to a question."""
    return bool(answers.num_rows and (pc.max(answers["repeat"]).as_py() or 1) > 1)


def shown(answers: pa.Table, scores: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the one answer to each question that is looked at by itself, where repeats have several, and its scores.

    It is the first one that is there. What is counted by text, label or cell goes by it, for a mean has none.

    Args:
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.
    """
    if not has_repeats(answers):
        return answers, scores
    frame = answers.select([*_ANSWER, "repeat"]).to_pandas().assign(lost=pc.not_equal(answers["status"], "ok"))
    frame["row"] = np.arange(len(frame))
    first = frame.sort_values(["lost", "repeat"], kind="stable").drop_duplicates(_ANSWER).sort_values("row")
    chosen = pd.MultiIndex.from_frame(first[[*_ANSWER, "repeat"]])
    of_scores = pd.MultiIndex.from_frame(scores.select([*_ANSWER, "repeat"]).to_pandas())
    return answers.take(pa.array(first["row"].to_numpy())), scores.filter(pa.array(of_scores.isin(chosen)))
