"""The summary table -> rows of words, one per configuration: for terminal, Markdown and page alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from rageval.comparison.summary import ANSWER_COLUMNS, ordered_metrics
from rageval.pages.formats import count, duration, number, usd

Figures: TypeAlias = Mapping[str, Any]
"""One row of the summary table."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One metric of one configuration, in words."""

    mean: str
    interval: str
    scored: str
    """Answers with a value / answers asked for."""

    def __str__(self) -> str:
        return " ".join(part for part in (self.mean, self.interval, self.scored) if part)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One model with one search method, or, with `model` None, one search method alone."""

    model: str | None
    search_method: str
    figures: Mapping[str, Figures]
    """The configuration's rows of the summary, by metric."""

    @property
    def quality(self) -> dict[str, Figures]:
        """The rows of metrics that are scores, in their fixed order."""
        names = [name for name in self.figures if not name.endswith("_latency_s") and name not in ANSWER_COLUMNS]
        return {name: self.figures[name] for name in ordered_metrics(names)}


def configurations(summary: pa.Table) -> list[Configuration]:
    """Return the rows of a summary by configuration, in the order of first appearance."""
    grouped: dict[tuple[str | None, str], dict[str, Figures]] = {}
    for row in summary.to_pylist():
        grouped.setdefault((row["model"], row["search_method"]), {})[row["metric"]] = row
    return [
        Configuration(model=model, search_method=method, figures=figures)
        for (model, method), figures in grouped.items()
    ]


def cell(figures: Figures | None) -> Cell:
    """Return mean, interval and denominator of one metric."""
    if figures is None:
        return Cell(mean="not measured", interval="", scored="")
    scored = f"{figures['n_scored']}/{figures['n']}"
    if figures["mean"] is None:
        return Cell(mean="no value", interval="", scored=scored)
    bounded = figures["ci_low"] is not None and figures["ci_high"] is not None
    interval = f"[{number(figures['ci_low'])}, {number(figures['ci_high'])}]" if bounded else "[no interval]"
    return Cell(mean=number(figures["mean"]), interval=interval, scored=scored)


def quality_metrics(found: Sequence[Configuration]) -> list[str]:
    """Return the names of all score metrics of these configurations, in their fixed order."""
    return ordered_metrics(name for configuration in found for name in configuration.quality)


def summary_rows(summary: pa.Table) -> list[dict[str, str]]:
    """Return a row per model and search method with `model`, `search_method` and one column per score metric.

    A cell reads `mean [low, high] n_scored/n`. All rows have the same keys, in the same order.
    """
    return list(_score_rows([c for c in configurations(summary) if c.model is not None]))


def metric_rows(summary: pa.Table) -> list[dict[str, str]]:
    """Return a row per score metric with `metric` and one column per model and search method: for narrow places.

    A cell reads as in `summary_rows`. A column is named after its model, and its search method where there are several.
    """
    found = [c for c in configurations(summary) if c.model is not None]
    several = len({c.search_method for c in found}) > 1
    names = [f"{c.model}, {c.search_method}" if several else c.model or "" for c in found]
    return [
        {"metric": metric, **{name: str(cell(c.figures.get(metric))) for name, c in zip(names, found, strict=True)}}
        for metric in quality_metrics(found)
    ]


def retrieval_rows(summary: pa.Table, metrics: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Return a row per search method with its retrieval metrics, median and 95th percentile of latency.

    Args:
        summary: Table `tables.SUMMARY`.
        metrics: Those that are shown, in their order; None for all.
    """
    found = [c for c in configurations(summary) if c.model is None]
    names = quality_metrics(found) if metrics is None else metrics
    return [
        {
            "search_method": c.search_method,
            **{metric: str(cell(c.figures.get(metric))) for metric in names},
            **_latency(c.figures.get("search_latency_s", {})),
        }
        for c in found
    ]


def cost_rows(summary: pa.Table) -> list[dict[str, str]]:
    """Return a row per model and search method with latency, tokens and cost; `unknown` where unknown."""
    return [
        {
            "model": c.model,
            "search_method": c.search_method,
            **_latency(c.figures.get("answer_latency_s", {})),
            "prompt tokens": _total(c.figures.get("prompt_tokens", {}), count),
            "completion tokens": _total(c.figures.get("completion_tokens", {}), count),
            "cost": _total(c.figures.get("cost_usd", {}), usd),
            "cost per answer": usd(c.figures.get("cost_usd", {}).get("mean")),
        }
        for c in configurations(summary)
        if c.model is not None
    ]


def _score_rows(found: Sequence[Configuration]) -> Iterator[dict[str, str]]:
    metrics = quality_metrics(found)
    for c in found:
        cells = {metric: str(cell(c.figures.get(metric))) for metric in metrics}
        yield {"model": c.model or "", "search_method": c.search_method, **cells}


def _latency(figures: Figures) -> dict[str, str]:
    return {
        "median latency": duration(figures.get("median")),
        "p95 latency": duration(figures.get("p95")),
    }


def _total(figures: Figures, words: Callable[[float | None], str]) -> str:
    """Return a sum; a sum over only part of the answers says so."""
    if figures.get("total") is None:
        return words(None)
    known, asked = figures["n_scored"], figures["n"]
    partly = "" if known == asked else f" ({known}/{asked})"
    return f"{words(figures['total'])}{partly}"
