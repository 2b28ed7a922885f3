"""The tables of a run -> the leading metrics by the columns of documents and questions, by turn and by length.

A slice differs from the rest only if its p-value is below 5 % after Holm's correction over all slices of that
metric. Slices of few questions or few documents are shown and not tested.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rageval.comparison.retrieval_values import failed_searches, has_relevant
from rageval.metrics.catalogue import bounds, headline, lowest
from rageval.metrics.hit_rate import HIT_RATE
from rageval.metrics.metric import ScoreMetric
from rageval.metrics.names import at
from rageval.pages.formats import number
from rageval.runs.alignment import aligned, places
from rageval.runs.clusters import clusters
from rageval.statistics.groups import group_difference
from rageval.statistics.intervals import mean_interval
from rageval.statistics.multiplicity import holm_of_known

MOST_VALUES: Final = 20
"""Columns with more values are not sliced by: each slice would say little, and all of them too much."""
LARGEST: Final = 10
"""Slices shown of one kind, those with the most questions."""
MOST_TURNS: Final = 9
"""Turns of conversations that are slices of their own; all later ones are one slice."""
FEW_QUESTIONS: Final = 30
FEW_DOCUMENTS: Final = 10
"""Below either a slice says little: it is marked, and not tested."""
ALPHA: Final = 0.05

_AT_ONCE: Final = 10_000
"""Questions whose columns are looked at together."""

_Values = NDArray[np.float64]
_Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SliceStatistic:
    """One metric of one system or retriever in one slice."""

    n: int
    """Questions of the slice with a value."""
    mean: float | None
    low: float | None
    high: float | None
    p_value: float | None
    """Of the difference from the rest, after Holm's correction; None where it is not tested."""
    difference: float | None
    """Mean of the slice minus mean of the rest."""

    @property
    def words(self) -> str:
        """The mean, or that there is none."""
        return "no value" if self.mean is None else number(self.mean)

    @property
    def interval(self) -> str:
        """The 95 % interval, empty if there is none."""
        return "" if self.low is None or self.high is None else f"[{number(self.low)}, {number(self.high)}]"

    @property
    def mark(self) -> str:
        """Whether the slice differs from the rest: `lower`, `higher` or nothing."""
        if self.p_value is None or self.difference is None or self.p_value >= ALPHA:
            return ""
        return "lower" if self.difference < 0 else "higher"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """Some of the questions."""

    name: str
    questions: int
    documents: int
    statistics: Mapping[str, SliceStatistic]
    """By the name of the column: a retriever or a system."""

    @property
    def few(self) -> bool:
        """Whether there are too few questions or documents to say much."""
        return self.questions < FEW_QUESTIONS or self.documents < FEW_DOCUMENTS


@dataclass(frozen=True, kw_only=True)
class SliceTable:
    """One metric by one property of the questions."""

    kind: str
    """The name of a column, or `length of the question`."""
    metric: str
    slices: Sequence[Slice]
    left_out: int
    """Smaller slices that are not shown."""


def slice_tables(
    questions: pa.Table, documents: pa.Table, retrieval: pa.Table, scores: pa.Table, top_k: int | None
) -> list[SliceTable]:
    """Return a table per kind of slice and metric: hit rate by retriever, then each leading metric by system.

    Kinds are the columns of documents and questions that came with the files, the turn of the conversation (one more
    than the user's turns before it) and the length of the question. Those of which there is one slice only, or more
    than `MOST_VALUES`, are left out.

    Args:
        questions: Table `tables.QUESTIONS`; its tags come before the metadata of the same name.
        documents: Table `tables.DOCUMENTS`; gives each question the metadata of its document.
        retrieval: Table `tables.RETRIEVAL`.
        scores: Table `tables.SCORES`.
        top_k: Ranks that count for the hit rate; None leaves it out.
    """
    frame = _asked(questions)
    columns_of_files = _columns(questions, documents, pd.Index(frame["question_id"]))
    kinds = {kind: slices for kind, slices in _kinds(frame, columns_of_files) if len(slices) > 1}
    tables = []
    for metric, columns in _metrics(questions, frame, retrieval, scores, top_k).items():
        tables += _corrected([_table(kind, slices, frame, metric, columns) for kind, slices in kinds.items()])
    order = list(kinds)
    return sorted(tables, key=lambda table: order.index(table.kind))


def _asked(questions: pa.Table) -> pd.DataFrame:
    """Return the questions with their length and a number for their document."""
    frame = questions.select(["question_id", "filter_value"]).to_pandas()
    frame["length"] = pc.utf8_length(questions["question"]).to_numpy()
    frame["turn"] = _turns_of(questions)
    frame = frame.drop_duplicates("question_id", ignore_index=True)
    frame["cluster"] = clusters(questions).to_numpy()
    return frame


def _turns_of(questions: pa.Table) -> NDArray[np.int64]:
    """Return for each question one more than the user's turns before it."""
    history = questions["history"].combine_chunks()
    said = pc.equal(pc.struct_field(pc.list_flatten(history), "role"), "user")
    owners = pc.list_parent_indices(history).filter(said).to_numpy()
    return 1 + np.bincount(owners, minlength=len(history))


def _columns(questions: pa.Table, documents: pa.Table, ids: pd.Index) -> dict[str, pd.Series | None]:
    """Return for each column of the files what each question has in it, or else its document, in the order of the ids.

    What has more values than can be sliced by is None, and takes no memory.
    """
    metadata = {
        row["document_id"]: row["metadata"] for row in documents.select(["document_id", "metadata"]).to_pylist()
    }
    columns: dict[str, _Column] = {}
    described = questions.select(["question_id", "relevant_ids", "tags"])
    if not any(metadata.values()):
        tagged = [np.diff(chunk.offsets.to_numpy()) > 0 for chunk in described["tags"].chunks]
        described = described.filter(pa.array(np.concatenate([np.zeros(0, np.bool_), *tagged])))
    at = iter(places(described["question_id"], ids).tolist())
    for batch in described.to_batches(max_chunksize=_AT_ONCE):
        for row in batch.to_pylist():
            position = next(at)
            for name, value in (*metadata.get(next(iter(row["relevant_ids"]), ""), ()), *row["tags"]):
                columns.setdefault(name, _Column(len(ids))).put(position, value)
    return {name: column.values for name, column in columns.items()}


class _Column:
    """What each question has in one column, as long as these are few different values."""

    def __init__(self, questions: int) -> None:
        self._codes = np.full(questions, -1, np.int8)
        self._names: dict[str, int] = {}

    def put(self, position: int, value: str) -> None:
        if len(self._names) <= MOST_VALUES:
            self._codes[position] = self._names.setdefault(value, len(self._names))

    @property
    def values(self) -> pd.Series | None:
        if len(self._names) > MOST_VALUES:
            return None
        return pd.Series(np.array([*self._names, None], object)[self._codes])


def _kinds(frame: pd.DataFrame, columns: Mapping[str, pd.Series | None]) -> Iterator[tuple[str, dict[str, _Mask]]]:
    """Yield each kind with its slices, the one with the most questions first; lengths from short to long."""
    several = frame["filter_value"].nunique() > 1
    for kind, values in columns.items():
        if values is None:
            continue
        names = values.fillna(f"no {kind}")
        if several and not _follows(frame["filter_value"], values):
            names = frame["filter_value"] + ": " + names
        if names.nunique() <= MOST_VALUES:
            yield kind, {str(name): (names == name).to_numpy() for name in names.value_counts(sort=True).index}
    if "turn" not in columns:  # otherwise the file says it itself
        yield "turn of the conversation", _turns(frame["turn"].to_numpy(np.int64))
    yield "length of the question", _lengths(frame["length"].to_numpy(np.int64))


def _follows(filters: pd.Series, values: pd.Series) -> bool:
    """Return whether a column is the one that restricts the search."""
    return bool((filters == values).all())


def _turns(turns: NDArray[np.int64]) -> dict[str, _Mask]:
    """Return the questions by how many the user has asked before, the last ones of long conversations together."""
    numbers = np.unique(turns)
    slices = {f"turn {number}": turns == number for number in numbers[:MOST_TURNS]}
    later = turns > numbers[:MOST_TURNS].max(initial=0)
    return slices | ({"later turns": later} if later.any() else {})


def _lengths(lengths: NDArray[np.int64]) -> dict[str, _Mask]:
    """Return the quarters of the questions by length; equal lengths stay together."""
    if not lengths.size:
        return {}
    quarter = np.searchsorted(np.unique(np.quantile(lengths, [0.25, 0.5, 0.75])), lengths)
    found = {}
    for place in np.unique(quarter):
        shortest, longest = lengths[quarter == place].min(), lengths[quarter == place].max()
        span = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
        found[f"{span} characters"] = quarter == place
    return found


def _metrics(
    questions: pa.Table, frame: pd.DataFrame, retrieval: pa.Table, scores: pa.Table, top_k: int | None
) -> dict[str, dict[str, _Values]]:
    """Return the values of each metric by column, in the order of the questions; NaN where there is none."""
    ids = pd.Index(frame["question_id"])
    found: dict[str, dict[str, _Values]] = {}
    if top_k is not None and len(retrieval):
        measured = has_relevant(questions, retrieval) & ~failed_searches(retrieval)
        searched = retrieval.filter(pa.array(measured))
        rows = searched.select(["question_id", "retriever", "first_relevant_rank"]).to_pandas()
        rows["value"] = (rows["first_relevant_rank"].astype(np.float64) <= top_k).astype(np.float64)
        found[at(HIT_RATE.name, top_k)] = {
            str(retriever): aligned(part["question_id"], part["value"], ids)
            for retriever, part in rows.groupby("retriever", sort=False)
        }
    for metric in headline(ScoreMetric):
        wanted = pc.and_(pc.equal(scores["metric"], metric), pc.equal(scores["status"], "ok"))
        rows = scores.select(["question_id", "system", "value"]).filter(wanted).to_pandas()
        columns = {
            str(system): aligned(part["question_id"], part["value"], ids)
            for system, part in rows.groupby("system", sort=False)
        }
        if columns:
            found[metric] = columns
    return found


def _table(
    kind: str, slices: Mapping[str, _Mask], frame: pd.DataFrame, metric: str, columns: Mapping[str, _Values]
) -> SliceTable:
    shown = list(slices.items())[:LARGEST]
    return SliceTable(
        kind=kind,
        metric=metric,
        slices=[_slice(name, inside, frame, metric, columns) for name, inside in shown],
        left_out=len(slices) - len(shown),
    )


def _slice(name: str, inside: _Mask, frame: pd.DataFrame, metric: str, columns: Mapping[str, _Values]) -> Slice:
    clusters = frame["cluster"].to_numpy()
    return Slice(
        name=name,
        questions=int(inside.sum()),
        documents=len(np.unique(clusters[inside])),
        statistics={column: _statistic(values, inside, clusters, metric) for column, values in columns.items()},
    )


def _statistic(values: _Values, inside: _Mask, clusters: NDArray[np.int64], metric: str) -> SliceStatistic:
    known = np.isfinite(values)
    x, group, labels = values[known], inside[known], clusters[known]
    mean = float(x[group].mean()) if group.any() else None
    interval = mean_interval(x[group], labels[group], bounds=bounds(metric), lowest=lowest(metric))
    enough = all(
        side.sum() >= FEW_QUESTIONS and len(np.unique(labels[side])) >= FEW_DOCUMENTS for side in (group, ~group)
    )
    difference = group_difference(x, group, labels) if enough else None
    return SliceStatistic(
        n=int(group.sum()),
        mean=mean,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p_value=difference.p_value if difference else None,
        difference=difference.mean if difference else None,
    )


def _corrected(family: Sequence[SliceTable]) -> list[SliceTable]:
    """Return the tables of one metric with their p-values corrected for how many there are."""
    statistics = [statistic for table in family for found in table.slices for statistic in found.statistics.values()]
    adjusted = iter(holm_of_known(statistic.p_value for statistic in statistics))

    def corrected(found: Slice) -> Slice:
        shown = {column: replace(statistic, p_value=next(adjusted)) for column, statistic in found.statistics.items()}
        return replace(found, statistics=shown)

    return [replace(table, slices=[corrected(found) for found in table.slices]) for table in family]
