"""The comparisons of a run -> rows of words for page, Markdown and terminal, and an interval plot for each."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pyarrow as pa
from markupsafe import Markup

from rageval.metrics.catalogue import headline, in_order
from rageval.metrics.names import metric_of
from rageval.pages import plots
from rageval.pages.forest import DrawnInterval, intervals
from rageval.pages.formats import UNKNOWN, count, number, usd

Row: TypeAlias = Mapping[str, Any]
"""One row of the table `tables.COMPARISONS`."""

_WHAT: Final = {"pooled": "{} (over all that differ in it)"}
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
    for metric in in_order(row["metric"] for row in rows):
        of_metric = [row for row in rows if row["metric"] == metric]
        figures = intervals([_drawn(row) for row in of_metric])
        words = [_words(row, unfit) for row in of_metric]
        groups.append(ComparisonGroup(metric=metric, rows=list(zip(words, figures, strict=True))))
    return groups


def comparison_rows(comparisons: pa.Table, *, unfit: Collection[str] = frozenset()) -> list[dict[str, str]]:
    """Return a row of words per comparison, all with the same keys in the same order; see `comparison_groups`."""
    return [{"metric": row["metric"], **_words(row, unfit)} for row in comparisons.to_pylist()]


def brief_comparison_rows(comparisons: pa.Table, *, unfit: Collection[str] = frozenset()) -> list[dict[str, str]]:
    """Return the rows of the headline with what a terminal has room for; the price stands with the verdict.

    Where systems are compared pooled, the pairs behind that are left to the page.
    """
    brief = []
    rows = comparisons.to_pylist()
    pooled = {row["differ_in"] for row in rows if row["of"] == "pooled"}
    for row in rows:
        is_behind = row["of"] == "systems" and row["differ_in"] in pooled
        if metric_of(row["metric"]) in headline() and not is_behind:
            words, ratio = _words(row, unfit), price_ratio(row)
            shown = {name: words[name] for name in ("candidate - baseline", "difference [95 %]", "adjusted p")}
            price = f", at {price_words(ratio)}" if ratio else ""
            brief.append({"metric": row["metric"], **shown, "the candidate is": words["the candidate is"] + price})
    return brief


def price_ratio(row: Row) -> float | None:
    """Return how many times as much an answer of the candidate costs as one of the baseline; None where unknown."""
    baseline, candidate = row["cost_baseline_usd"], row["cost_candidate_usd"]
    return candidate / baseline if baseline and candidate else None


def price_words(ratio: float) -> str:
    """Return a ratio of two prices with about two figures: the same price, 17 times the price, 1/17 of the price."""
    if 0.95 < ratio < 1.05:
        return "the same price"
    larger = max(ratio, 1 / ratio)
    figures = f"{larger:,.0f}" if larger >= 9.95 else f"{larger:.2g}"
    return f"{figures} times the price" if ratio > 1 else f"1/{figures} of the price"


def _words(row: Row, unfit: Collection[str]) -> dict[str, str]:
    known = row["difference"] is not None
    return {
        "candidate - baseline": f"{row['candidate']} - {row['baseline']}",
        "differ in": _WHAT.get(row["of"], "{}").format(row["differ_in"]),
        "the candidate is": row["verdict"] + (" (unfit judge)" if row["metric"] in unfit else ""),
        "difference [95 %]": _difference(row),
        "adjusted p": _p(row["p_adjusted"]),
        "effect size": number(row["effect_size"]) if row["effect_size"] is not None else "none",
        "better / worse / tied": _counts(row["better"], row["worse"], row["tied"]) if known else UNKNOWN,
        "questions": count(row["n"]),
        "min. detectable": number(row["smallest_detectable"]),
        "cost of candidate - baseline": _cost(row),
    }


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
    if row["of"] == "retrievers":
        return "none"
    baseline, candidate = row["cost_baseline_usd"], row["cost_candidate_usd"]
    if baseline is None or candidate is None:
        return UNKNOWN
    sign = "-" if candidate < baseline else "+" if candidate > baseline else ""
    ratio = price_ratio(row)
    return f"{sign}{usd(1000 * abs(candidate - baseline))} per 1,000" + (f", {price_words(ratio)}" if ratio else "")


def _drawn(row: Row) -> DrawnInterval | None:
    if row["difference"] is None:
        return None
    colour = COLOURS.get(row["verdict"], plots.MUTED)
    return DrawnInterval(mean=row["difference"], low=row["ci_low"], high=row["ci_high"], colour=colour)


def of_systems(rows: Iterable[Row], metric: str) -> dict[tuple[str, str], Row]:
    """Return the rows of one metric that compare two systems, by baseline and candidate."""
    return {
        (row["baseline"], row["candidate"]): row for row in rows if row["metric"] == metric and row["of"] == "systems"
    }
