"""What every setting of a sweep found -> its statistics on both parts, the best setting, and how sure that is."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rageval.comparison.retrieval_values import retrieval_values
from rageval.runs.clusters import clusters
from rageval.statistics.intervals import mean_interval
from rageval.statistics.paired import PairedDifference, paired_difference
from rageval.statistics.verdicts import Verdict, verdict
from rageval.sweep.settings import PARTS, SearchSetting
from rageval.sweep.tables import SWEEP

_TIE: Final = 1e-9
"""Means closer than this are equal."""
_BOUNDS: Final = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class SweepPlan:
    """What the statistics of a sweep depend on beside what was found."""

    settings: tuple[SearchSetting, ...]
    """The simplest first: of two that are equally good, the earlier one is chosen."""
    default: SearchSetting
    """What the best setting is compared with."""
    metric: str
    """The metric that decides."""
    cutoffs: tuple[int, ...]
    """Every k that metrics are computed for."""
    accept_alternates: bool
    """Whether the other documents of the same question are right as well."""


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """The statistics of all settings, and what they let one say."""

    statistics: pa.Table
    """Table `tables.SWEEP`."""
    best: SearchSetting
    """The setting with the highest mean of the metric on the tuning part, the simplest one of several."""
    difference: PairedDifference | None
    """Best less default by the metric, question by question on the held-out part; None if they are the same."""
    verdict: Verdict | None
    """Whether the best is better than the default, in words; None if they are the same."""


def sweep_result(questions: pa.Table, retrieval: pa.Table, plan: SweepPlan) -> SweepResult:
    """Return the statistics of a sweep, and its best setting compared with the default one.

    The setting is chosen on the tuning part, and its statistics and the comparison that count are those of the held-out
    part, which had no say in the choice: the highest of many means is too high where it was chosen. One comparison is
    made, so its p-value needs no adjustment.

    Args:
        questions: Table `tables.QUESTIONS`; gives documents, grades and alternates.
        retrieval: Table `tables.SWEEP_RETRIEVAL`; every setting with the same questions in the same order.
        plan: What to compute.
    """
    found = _found(questions, retrieval, plan)
    best = _best(found, plan)
    rows = [
        row
        | {"setting": setting.name, "part": part, "is_best": setting == best, "is_default": setting == plan.default}
        | {("search_method" if name == "method" else name): value for name, value in asdict(setting).items()}
        for setting in plan.settings
        for part in PARTS
        for row in _figures(found, found.places[setting.name, part])
    ]
    table = pa.Table.from_pylist(rows, schema=SWEEP)
    if best == plan.default:
        return SweepResult(statistics=table, best=best, difference=None, verdict=None)
    ours, theirs = (found.places[setting.name, "held-out"] for setting in (best, plan.default))
    values = found.values[plan.metric]
    difference = paired_difference(values[ours], values[theirs], found.clusters[ours])
    words = verdict(difference, difference.p_value if difference else 1.0)
    return SweepResult(statistics=table, best=best, difference=difference, verdict=words)


@dataclass(frozen=True, kw_only=True)
class _RetrievalArrays:
    """Arrays with an element per row of the retrieval table, and which rows belong together."""

    values: Mapping[str, NDArray[np.float64]]
    clusters: NDArray[np.int64]
    latency_s: NDArray[np.float64]
    places: Mapping[tuple[str, str], NDArray[np.int64]]
    """The rows of each setting and part."""


def _found(questions: pa.Table, retrieval: pa.Table, plan: SweepPlan) -> _RetrievalArrays:
    frame = retrieval.select(["setting", "part"]).to_pandas()
    return _RetrievalArrays(
        values=retrieval_values(questions, retrieval, plan.cutoffs, accept_alternates=plan.accept_alternates),
        clusters=clusters(questions).loc[retrieval["question_id"].to_pandas()].to_numpy(),
        latency_s=retrieval["latency_s"].to_numpy(),
        places={key: group.index.to_numpy() for key, group in frame.groupby(["setting", "part"], sort=False)},
    )


def _best(found: _RetrievalArrays, plan: SweepPlan) -> SearchSetting:
    values = found.values[plan.metric]
    means = [float(values[found.places[setting.name, "tuning"]].mean()) for setting in plan.settings]
    return next(s for s, mean in zip(plan.settings, means, strict=True) if mean >= max(means) - _TIE)


def _figures(found: _RetrievalArrays, places: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """Yield a row for each metric of one setting on one part."""
    latency_s = found.latency_s[places]
    for metric, of_all in found.values.items():
        values = of_all[places]
        interval = mean_interval(values, found.clusters[places], bounds=_BOUNDS)
        yield {
            "metric": metric,
            "n": len(places),
            "mean": float(values.mean()),
            "ci_low": interval and interval.low,
            "ci_high": interval and interval.high,
            "latency_p50_s": float(np.median(latency_s)),
            "latency_p95_s": float(np.percentile(latency_s, 95)),
        }
