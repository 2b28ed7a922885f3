"""Two runs -> the values of the same questions side by side, metric by metric; what cannot be compared says why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from rageval.comparison.comparability import not_comparable, other_questions
from rageval.comparison.measurements import Key, Measurement, RunTables, Subject, measurements
from rageval.comparison.pairing import Choice, Pair, pairs
from rageval.errors import DataError
from rageval.metrics.catalogue import compared, higher_is_better, in_order
from rageval.metrics.names import at, metric_of
from rageval.runs.clusters import clusters

Values: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairedValues:
    """One metric of one system or retriever of each run, over the questions that are compared."""

    pair: Pair
    metric: str
    question_ids: NDArray[np.object_]
    """The questions that are compared, shape `(n,)`."""
    clusters: NDArray[np.int64]
    """A number for each question's document, shape `(n,)`."""
    a: Values
    """Values of the first run, shape `(n,)`; NaN where it has none."""
    b: Values
    """Values of the second run, shape `(n,)`; NaN where it has none."""

    @property
    def both(self) -> NDArray[np.bool_]:
        """Where both runs have a value."""
        return np.isfinite(self.a) & np.isfinite(self.b)

    @property
    def left_out_a(self) -> int:
        """Questions without a value in the first run."""
        return int(np.isnan(self.a).sum())

    @property
    def left_out_b(self) -> int:
        """Questions without a value in the second run."""
        return int(np.isnan(self.b).sum())


@dataclass(frozen=True, kw_only=True)
class UncomparedMetric:
    """One metric that is not compared, and why."""

    metric: str
    name: str
    """As in `Pair`; empty where the metric is missing altogether."""
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunPair:
    """Everything of two runs that may be compared."""

    question_ids: NDArray[np.object_]
    """The questions that are compared, in the order of the first run."""
    pairs: Sequence[Pair]
    paired: Sequence[PairedValues]
    refused: Sequence[UncomparedMetric]
    of_a: Mapping[Key, Measurement]
    """Everything that the first run has measured."""
    of_b: Mapping[Key, Measurement]
    left_behind: str | None
    """How the questions of the runs differ, where only common ones are compared."""


def side_by_side(a: RunTables, b: RunTables, choice: Choice, *, common: bool = False) -> RunPair:
    """Return the values of both runs by question, for all metrics that may be compared.

    Args:
        a: The first run, the baseline.
        b: The second run.
        choice: Which metrics, systems and retrievers; without metrics those that are compared unless others are
            named; retrieval at the smaller top_k of the two runs.
        common: Compare the questions that both runs have, though one has others, too.

    Raises:
        ConfigError: If a named system or retriever is not in its run.
        DataError: If the runs asked different questions and `common` is not set, or share none.
    """
    left_behind = other_questions(a, b)
    if left_behind and not common:
        raise DataError(
            f"{a.name} and {b.name} cannot be compared: {left_behind}. Evaluate both with the same questions (data."
            "ground_truth, only, sample and seed), or give --common to compare those that both have"
        )
    ids, clusters = _shared_questions(a, b)
    if not len(ids):
        raise DataError(f"{a.name} and {b.name} cannot be compared: they share no question")
    cutoffs = _cutoffs(a, b, choice.metrics)
    of_a, of_b = measurements(a, cutoffs), measurements(b, cutoffs)
    found = pairs(_subjects(of_a), _subjects(of_b), choice)
    paired: list[PairedValues] = []
    refused: list[UncomparedMetric] = _unknown(of_a, of_b, choice.metrics)
    for pair in found:
        for metric in _chosen(pair, of_a, of_b, _wanted(a, b, choice.metrics)):
            one, other = of_a.get((pair.a, metric)), of_b.get((pair.b, metric))
            if reason := _reason(a, b, one, other):
                refused.append(UncomparedMetric(metric=metric, name=pair.name, reason=reason))
            elif one and other:
                values = (m.values.reindex(ids).to_numpy(dtype=np.float64) for m in (one, other))
                paired.append(_paired(pair, metric, ids, clusters, *values))
    return RunPair(
        question_ids=ids, pairs=found, paired=paired, refused=refused, of_a=of_a, of_b=of_b, left_behind=left_behind
    )


def _paired(
    pair: Pair, metric: str, ids: NDArray[np.object_], clusters: NDArray[np.int64], a: Values, b: Values
) -> PairedValues:
    return PairedValues(pair=pair, metric=metric, question_ids=ids, clusters=clusters, a=a, b=b)


def _shared_questions(a: RunTables, b: RunTables) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Return the ids of the questions that both runs have, and a number for the document of each."""
    of_a = clusters(a.questions)
    shared = of_a[of_a.index.isin(b.questions["question_id"].to_pandas())]
    return shared.index.to_numpy(dtype=object), shared.to_numpy()


def _cutoffs(a: RunTables, b: RunTables, metrics: Sequence[str]) -> list[int]:
    named = {int(k) for name in metrics if (k := name.partition("@")[2]).isdigit()}
    return sorted({min(a.top_k, b.top_k), *named})


def _wanted(a: RunTables, b: RunTables, metrics: Sequence[str]) -> set[str]:
    """Return the names that are compared: of a metric cut off at a rank, also without it for the smaller top_k."""
    k = min(a.top_k, b.top_k)
    names = set(metrics)
    if not names:
        several = any(run.depth.accept_alternates for run in (a, b))
        names = set(compared(several=several))
    return names | {at(name, k) for name in names}


def _subjects(side: Mapping[Key, Measurement]) -> list[Subject]:
    return list(dict.fromkeys(subject for subject, _ in side))


def _chosen(
    pair: Pair, of_a: Mapping[Key, Measurement], of_b: Mapping[Key, Measurement], wanted: set[str]
) -> list[str]:
    known = [metric for side, one in ((of_a, pair.a), (of_b, pair.b)) for subject, metric in side if subject == one]
    return [name for name in in_order(known) if name in wanted]


def _unknown(
    of_a: Mapping[Key, Measurement], of_b: Mapping[Key, Measurement], metrics: Sequence[str]
) -> list[UncomparedMetric]:
    """Return the named metrics that neither run has."""
    known = {metric for _, metric in (*of_a, *of_b)}
    names = known | {metric_of(name) for name in known}
    has = ", ".join(in_order(name for _, name in (*of_a, *of_b) if higher_is_better(name) is not None))
    return [
        UncomparedMetric(metric=name, name="", reason=f"neither run has it; they have {has or 'none'}")
        for name in metrics
        if name not in names
    ]


def _reason(a: RunTables, b: RunTables, one: Measurement | None, other: Measurement | None) -> str | None:
    if one is None or other is None:
        return f"{(b if one else a).name} did not measure it; evaluate both runs with the same metrics"
    if not (len(one.values) and len(other.values)):
        return f"{(b if len(one.values) else a).name} has no value of it; see the failures in its report"
    return not_comparable(a, b, one, other)
