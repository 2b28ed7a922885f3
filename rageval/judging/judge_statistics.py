"""One statistic about a judge: a row of the table `judging`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike

from rageval.statistics.agreement import cohen_kappa, confusion_matrix, percent_agreement
from rageval.statistics.influence import MeanEstimate
from rageval.statistics.intervals import mean_interval
from rageval.tables import JUDGING

ITSELF = "itself"
HUMANS = "human labels"
MAJORITY = "the majority"
SINGLY = "single verdicts"
"""Of the same judge, where its verdicts are combined."""


@dataclass(frozen=True, kw_only=True)
class JudgeStatistic:
    """One statistic about one judge; the fields are the columns of `tables.JUDGING`."""

    judge: str
    metric: str
    statistic: str = ""
    against: str | None = None
    system: str | None = None
    label: str | None = None
    other_label: str | None = None
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int = 0
    note: str | None = None

    def named(self, statistic: str, found: MeanEstimate | None, n: int) -> "JudgeStatistic":
        """Return this with an estimate, or with no value where there is none."""
        if found is None:
            return replace(self, statistic=statistic, n=n)
        return replace(self, statistic=statistic, value=found.value, ci_low=found.low, ci_high=found.high, n=found.n)


def to_judging(statistics: Iterable[JudgeStatistic]) -> pa.Table:
    """Return statistics as table `tables.JUDGING`."""
    return pa.Table.from_pylist([vars(statistic) for statistic in statistics], schema=JUDGING)


def share_statistic(about: JudgeStatistic, name: str, hits: pd.Series, clusters: ArrayLike) -> JudgeStatistic:
    """Return the share of answers for which something holds, with its interval; no value without an answer."""
    if hits.empty:
        return replace(about, statistic=name)
    interval = mean_interval(hits.to_numpy(dtype=float), clusters, bounds=(0.0, 1.0))
    low, high = (interval.low, interval.high) if interval else (None, None)
    return replace(about, statistic=name, value=float(hits.mean()), n=len(hits), ci_low=low, ci_high=high)


def agreement_statistics(
    about: JudgeStatistic, first: pd.Series, second: pd.Series, labels: Sequence[str], clusters: ArrayLike
) -> Iterator[JudgeStatistic]:
    """Yield agreement, kappa, kappa with linear weights, and the count of every pair of labels.

    Args:
        about: Judge, metric and what it is compared with.
        first: The judge's labels.
        second: The other labels of the same answers, in the same order.
        labels: All labels, best first.
        clusters: The cluster of each answer.
    """
    ours, theirs, n = first.tolist(), second.tolist(), len(first)
    yield replace(about, statistic="agreement", value=percent_agreement(ours, theirs), n=n)
    yield about.named("kappa", cohen_kappa(ours, theirs, labels, clusters), n)
    yield about.named("kappa_linear", cohen_kappa(ours, theirs, labels, clusters, weights="linear"), n)
    for label, row in zip(labels, confusion_matrix(ours, theirs, labels).tolist(), strict=True):
        for other, count in zip(labels, row, strict=True):
            yield replace(about, statistic="pairs", label=label, other_label=other, value=float(count), n=n)
