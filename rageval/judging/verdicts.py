"""The tables of a run -> verdicts by judge and metric, ready to be set side by side.

A metric's plain rows belong to its judge, or to the majority where a panel judges; `metric[gpt-4o]` are those of one
judge of a panel, `metric[again]` the second verdicts of whoever `judge_model` names, and `metric[single]` those that it
was asked for alone while all others are combined.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rageval.metrics.answer_words import answer_words
from rageval.metrics.catalogue import find
from rageval.metrics.cosine import COSINE
from rageval.metrics.metric import JudgeMetric
from rageval.metrics.names import AGAIN, SINGLE, split_detail
from rageval.metrics.pairwise import PAIRWISE
from rageval.runs.alignment import places
from rageval.runs.clusters import clusters

KEYS = ["question_id", "system"]
_SWAPPED = ", swapped"


@dataclass(frozen=True, kw_only=True)
class JudgeVerdicts:
    """All verdicts of a run; frames have one row per answer, with its place among the answers as index."""

    answers: pd.DataFrame
    """question_id, system, cluster (a number for the question's document) and words of each answer."""
    first: Mapping[tuple[str, str], pd.DataFrame]
    """`label` and `value` by judge and metric; of a panel, those of its majority and of each of its judges."""
    again: Mapping[tuple[str, str], pd.DataFrame]
    """The same for second verdicts."""
    single: Mapping[tuple[str, str], pd.DataFrame]
    """The same for verdicts that were asked for alone beside combined ones."""
    metric_judges: tuple[tuple[str, str], ...]
    """Judge and metric of the verdicts that are a metric's own: the only ones that results are computed from."""
    pairwise: pd.DataFrame
    """`judge`, `other` (system), `swapped`, `label` and `value` of each choice between two answers."""
    cosine: pd.Series
    """Cosine by answer."""
    human: pd.Series
    """Human label by answer."""

    def members(self, judge: str, metric: str) -> list[str]:
        """Return the judges of the panel, or nothing if it is none."""
        if (judge, metric) not in self.metric_judges:
            return []
        return [name for name, of in self.first if of == metric and (name, of) not in self.metric_judges]

    def clusters(self, index: pd.Index) -> NDArray[np.int64]:
        """Return the cluster of each of these answers."""
        return np.asarray(self.answers["cluster"], dtype=np.int64)[np.asarray(index, dtype=np.int64)]


def labels_of(metric: str) -> tuple[str, ...]:
    """Return the labels that verdicts of a metric can have, best first; none of what no judge is asked for."""
    found = find(metric)
    return found.scale if isinstance(found, JudgeMetric) else ()


def read_verdicts(questions: pa.Table, answers: pa.Table, scores: pa.Table, labels: pa.Table) -> JudgeVerdicts:
    """Return the verdicts of a run; only rows of scores whose status is ok count, and only labels that are known.

    Args:
        questions: Table `tables.QUESTIONS`; gives each answer's document.
        answers: Table `tables.ANSWERS`.
        scores: Table `tables.SCORES`.
        labels: Table `tables.HUMAN_LABELS`.
    """
    known = _answers(questions, answers)
    scored = _placed(_relevant(scores), known)
    first: dict[tuple[str, str], pd.DataFrame] = {}
    again: dict[tuple[str, str], pd.DataFrame] = {}
    single: dict[tuple[str, str], pd.DataFrame] = {}
    own: list[tuple[str, str]] = []
    pairwise = []
    for name, rows in scored.groupby("metric", sort=False, observed=True):
        metric, detail = split_detail(str(name))
        if metric == PAIRWISE.name and detail is not None:
            swapped = detail.endswith(_SWAPPED)
            pairwise.append(rows.assign(other=detail.removesuffix(_SWAPPED), swapped=swapped))
        elif labels_of(metric):
            for judge, part in _by_judge(rows, metric):
                {AGAIN: again, SINGLE: single}.get(detail or "", first)[judge, metric] = part
                own += [(judge, metric)] if detail is None else []
    cosine = scored.loc[scored["metric"] == COSINE.name, "value"]
    return JudgeVerdicts(
        answers=known,
        first=first,
        again=again,
        single=single,
        metric_judges=tuple(own),
        pairwise=_pairwise(pairwise),
        cosine=cosine,
        human=_placed(labels.to_pandas(), known)["label"],
    )


def _answers(questions: pa.Table, answers: pa.Table) -> pd.DataFrame:
    frame = answers.select(KEYS).to_pandas()
    of_question = clusters(questions)
    frame["cluster"] = of_question.to_numpy()[places(answers["question_id"], of_question.index)]
    words = [np.nan if text is None else answer_words([text])[0] for text in _each(answers["answer"])]
    frame["words"] = np.array(words, np.float64)
    return frame


def _each(texts: pa.ChunkedArray) -> Iterator[str | None]:
    for chunk in texts.chunks:
        yield from chunk.to_pylist()


def _relevant(scores: pa.Table) -> pd.DataFrame:
    is_one = pc.or_(pc.equal(scores["metric"], COSINE.name), pc.is_valid(scores["label"]))
    kept = scores.filter(pc.and_(is_one, pc.equal(scores["status"], "ok")))
    return kept.select([*KEYS, "metric", "label", "value", "judge_model"]).to_pandas()


def _placed(frame: pd.DataFrame, answers: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that belong to an answer, with its place as index."""
    places = answers[KEYS].assign(place=np.arange(len(answers)))
    merged = frame.merge(places, on=KEYS, how="inner")
    return merged.set_index("place").drop(columns=KEYS)


def _by_judge(rows: pd.DataFrame, metric: str) -> Iterator[tuple[str, pd.DataFrame]]:
    readable = rows[rows["label"].isin(labels_of(metric))]
    named = readable.assign(judge=readable["judge_model"].fillna("unknown"))
    for judge, part in named.groupby("judge", sort=False):
        yield str(judge), part[["label", "value"]]


def _pairwise(parts: list[pd.DataFrame]) -> pd.DataFrame:
    columns = ["judge", "other", "swapped", "label", "value"]
    if not parts:
        return pd.DataFrame(columns=columns)
    frame = pd.concat(parts)
    return frame.assign(judge=frame["judge_model"].fillna("unknown"))[columns]
