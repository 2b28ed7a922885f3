"""The comparisons of a run -> rows of words for page, Markdown and terminal, and an interval plot for each."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pyarrow as pa
from markupsafe import Markup

from rageval.comparison.summary import ordered_metrics
from rageval.metrics.catalog import metric_of
from rageval.pages import plots
from rageval.pages.forest import DrawnInterval, intervals
from rageval.pages.formats import UNKNOWN, count, number, usd

Row: TypeAlias = Mapping[str, Any]
"""One row of the table `tables.COMPARISONS`."""

BRIEF_METRICS: Final = ("judge_with_reference", "cosine", "ndcg")
"""Metrics whose comparisons the terminal shows; the page and the table have all."""
COLOURS: Final = {"better": plots.GOOD, "worse": plots.BAD}


@dataclass(frozen=True, kw_only=True)
class ComparisonGroup:
    """The comparisons of one metric, with their intervals drawn to one scale."""

    metric: str
    rows: Sequence[tuple[Mapping[str, str], Markup]]
    """Words by heading, and the plot."""


def comparison_groups(comparisons: pa.Table, *, unfit: Collection[str] = frozenset()) -> list[ComparisonGroup]:
    """Return the comparisons by metric, in the fixed order of metrics; those by a metric with an unfit judge say so."""
    rows = comparisons.to_pylist()
    groups = []
    for metric in ordered_metrics(row["metric"] for row in rows):
        of_metric = [row for row in rows if row["metric"] == metric]
        figures = intervals([_drawn(row) for row in of_metric])
        words = [_words(row, unfit) for row in of_metric]
        groups.append(ComparisonGroup(metric=metric, rows=list(zip(words, figures, strict=True))))
    return groups


def comparison_rows(comparisons: pa.Table, *, unfit: Collection[str] = frozenset()) -> list[dict[str, str]]:
    """Return a row of words per comparison, all with the same keys in the same order; see `comparison_groups`."""
    return [{"metric": row["metric"], **_words(row, unfit)} for row in comparisons.to_pylist()]


def brief_comparison_rows(comparisons: pa.Table, *, unfit: Collection[str] = frozenset()) -> list[dict[str, str]]:
    """Return the rows of the leading metrics with what a terminal has room for; the price stands with the verdict."""
    brief = []
    for row in comparisons.to_pylist():
        if metric_of(row["metric"]) in BRIEF_METRICS:
            words, ratio = _words(row, unfit), price_ratio(row)
            shown = {name: words[name] for name in ("a - b", "difference [95 %]", "adjusted p")}
            price = f", at {price_words(ratio)}" if ratio else ""
            brief.append({"metric": row["metric"], **shown, "verdict on a": words["verdict on a"] + price})
    return brief


def price_ratio(row: Row) -> float | None:
    """Return how many times as much an answer of side a costs as one of side b; None where that is not known."""
    a, b = row["cost_a_usd"], row["cost_b_usd"]
    return a / b if a and b else None


def price_words(ratio: float) -> str:
    """Return a ratio of two prices with about two figures: the same price, 17 times the price, 1/17 of the price."""
    if 0.95 < ratio < 1.05:
        return "the same price"
    larger = max(ratio, 1 / ratio)
    figures = f"{larger:,.0f}" if larger >= 9.95 else f"{larger:.2g}"
    return f"{figures} times the price" if ratio > 1 else f"1/{figures} of the price"


def side_names(row: Row) -> tuple[str, str]:
    """Return what tells the two sides apart: the models, or the search methods where the model is the same."""
    if row["model_a"] == row["model_b"]:
        return row["search_method_a"], row["search_method_b"]
    return row["model_a"], row["model_b"]


def _words(row: Row, unfit: Collection[str]) -> dict[str, str]:
    a, b = side_names(row)
    known = row["difference"] is not None
    return {
        "a - b": f"{a} - {b}",
        "with": _shared(row),
        "verdict on a": row["verdict"] + (" (unfit judge)" if row["metric"] in unfit else ""),
        "difference [95 %]": _difference(row),
        "adjusted p": _p(row["p_adjusted"]),
        "effect size": number(row["effect_size"]) if row["effect_size"] is not None else "none",
        "better / worse / tied": _counts(row["better"], row["worse"], row["tied"]) if known else UNKNOWN,
        "questions": count(row["n"]),
        "smallest detectable": number(row["smallest_detectable"]),
        "cost of a - b": _cost(row),
    }


def _shared(row: Row) -> str:
    """Return what both sides have in common."""
    if row["model_a"] is None:
        return ""
    return f"{row['search_method_a']} search" if row["model_a"] != row["model_b"] else row["model_a"]


def _difference(row: Row) -> str:
    if row["difference"] is None:
        return UNKNOWN
    return f"{_signed(row['difference'])} [{_signed(row['ci_low'])}, {_signed(row['ci_high'])}]"


def _signed(value: float) -> str:
    text = number(value)
    return text if value <= 0 or text == "0.000" else f"+{text}"


def _p(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _counts(*numbers: int) -> str:
    return " / ".join(count(n) for n in numbers)


def _cost(row: Row) -> str:
    """Return the difference of the costs of 1,000 answers, and their ratio."""
    if row["model_a"] is None:
        return "none"
    a, b = row["cost_a_usd"], row["cost_b_usd"]
    if a is None or b is None:
        return UNKNOWN
    sign = "-" if a < b else "+" if a > b else ""
    ratio = price_ratio(row)
    return f"{sign}{usd(1000 * abs(a - b))} per 1,000" + (f", {price_words(ratio)}" if ratio else "")


def _drawn(row: Row) -> DrawnInterval | None:
    if row["difference"] is None:
        return None
    colour = COLOURS.get(row["verdict"], plots.MUTED)
    return DrawnInterval(mean=row["difference"], low=row["ci_low"], high=row["ci_high"], colour=colour)


def of_configurations(rows: Iterable[Row], metric: str) -> dict[tuple[tuple[str, str], tuple[str, str]], Row]:
    """Return the rows of one metric of the answers by side a and side b, each a model and a search method."""
    return {
        ((row["model_a"], row["search_method_a"]), (row["model_b"], row["search_method_b"])): row
        for row in rows
        if row["metric"] == metric and row["model_a"] is not None
    }
