"""The summary table -> rows of words, one per system or retriever: for terminal, Markdown and page alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from rageval.metrics.catalogue import find, in_order
from rageval.metrics.measured import (
    ANSWER_LATENCY,
    CACHED_TOKENS,
    COMPLETION_TOKENS,
    COST,
    PROMPT_TOKENS,
    SEARCH_LATENCY,
)
from rageval.metrics.metric import MeasuredMetric
from rageval.pages.formats import count, duration, number, usd

Statistics: TypeAlias = Mapping[str, Any]
"""One row of the summary table."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One metric of one system or retriever, as text."""

    mean: str
    interval: str
    scored: str
    """Answers with a value / answers asked for."""

    def __str__(self) -> str:
        return " ".join(part for part in (self.mean, self.interval, self.scored) if part)


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rows of a summary that belong to one system, or to one retriever."""

    name: str
    is_retriever: bool
    statistics: Mapping[str, Statistics]
    """By metric."""

    @property
    def quality(self) -> dict[str, Statistics]:
        """The rows of metrics that are scores, in their fixed order."""
        names = [name for name in self.statistics if not isinstance(find(name), MeasuredMetric)]
        return {name: self.statistics[name] for name in in_order(names)}


def groups(summary: pa.Table) -> list[Group]:
    """Return the rows of a summary by system or retriever, in the order of first appearance."""
    grouped: dict[tuple[str, bool], dict[str, Statistics]] = {}
    for row in summary.to_pylist():
        key = (row["system"] or row["retriever"], row["system"] is None)
        grouped.setdefault(key, {})[row["metric"]] = row
    return [Group(name=name, is_retriever=flag, statistics=statistics) for (name, flag), statistics in grouped.items()]


def cell(statistics: Statistics | None) -> Cell:
    """Return mean, interval and denominator of one metric."""
    if statistics is None:
        return Cell(mean="not measured", interval="", scored="")
    scored = f"{statistics['n_scored']}/{statistics['n']}"
    if statistics["mean"] is None:
        return Cell(mean="no value", interval="", scored=scored)
    bounded = statistics["ci_low"] is not None and statistics["ci_high"] is not None
    interval = f"[{number(statistics['ci_low'])}, {number(statistics['ci_high'])}]" if bounded else "[no interval]"
    return Cell(mean=number(statistics["mean"]), interval=interval, scored=scored)


def quality_metrics(found: Sequence[Group]) -> list[str]:
    """Return the names of all score metrics of these groups, in their fixed order."""
    return in_order(name for group in found for name in group.quality)


def summary_rows(summary: pa.Table) -> list[dict[str, str]]:
    """Return a row per system with `system` and one column per score metric.

    A cell reads `mean [low, high] n_scored/n`. All rows have the same keys, in the same order.
    """
    found = _systems(summary)
    metrics = quality_metrics(found)
    return [
        {"system": group.name, **{metric: str(cell(group.statistics.get(metric))) for metric in metrics}}
        for group in found
    ]


def metric_rows(summary: pa.Table) -> list[dict[str, str]]:
    """Return a row per score metric with `metric` and one column per system: for narrow places.

    A cell reads as in `summary_rows`.
    """
    found = _systems(summary)
    return [
        {"metric": metric, **{group.name: str(cell(group.statistics.get(metric))) for group in found}}
        for metric in quality_metrics(found)
    ]


def retrieval_rows(summary: pa.Table, metrics: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Return a row per retriever with its retrieval metrics, median and 95th percentile of latency.

    Args:
        summary: Table `tables.SUMMARY`.
        metrics: Those that are shown, in their order; None for all.
    """
    found = [group for group in groups(summary) if group.is_retriever]
    names = quality_metrics(found) if metrics is None else metrics
    return [
        {
            "retriever": group.name,
            **{metric: str(cell(group.statistics.get(metric))) for metric in names},
            **_latency(group.statistics.get(SEARCH_LATENCY.name, {})),
        }
        for group in found
    ]


def cost_rows(summary: pa.Table) -> list[dict[str, str]]:
    """Return a row per system with latency, tokens and cost; `unknown` where unknown.

    Cached tokens, a part of those of the prompt, are shown where any system's provider counts them.
    """
    found = _systems(summary)
    cached = {group.name: group.statistics.get(CACHED_TOKENS.name, {}) for group in found}
    shown = any(values.get("total") is not None for values in cached.values())
    return [
        {
            "system": group.name,
            **_latency(group.statistics.get(ANSWER_LATENCY.name, {})),
            "prompt tokens": _total(group.statistics.get(PROMPT_TOKENS.name, {}), count),
            **({"of these cached": _total(cached[group.name], count)} if shown else {}),
            "completion tokens": _total(group.statistics.get(COMPLETION_TOKENS.name, {}), count),
            "cost": _total(group.statistics.get(COST.name, {}), usd),
            "cost per answer": usd(group.statistics.get(COST.name, {}).get("mean")),
        }
        for group in found
    ]


def _systems(summary: pa.Table) -> list[Group]:
    return [group for group in groups(summary) if not group.is_retriever]


def _latency(statistics: Statistics) -> dict[str, str]:
    return {
        "median latency": duration(statistics.get("median")),
        "p95 latency": duration(statistics.get("p95")),
    }


def _total(statistics: Statistics, words: Callable[[float | None], str]) -> str:
    """Return a sum; a sum over only part of the answers says so."""
    if statistics.get("total") is None:
        return words(None)
    known, asked = statistics["n_scored"], statistics["n"]
    partly = "" if known == asked else f" ({known}/{asked})"
    return f"{words(statistics['total'])}{partly}"
