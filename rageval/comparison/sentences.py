"""A comparison of two runs -> sentences and rows of words, for terminal, Markdown and page alike."""

from collections.abc import Iterator, Sequence

from rageval.comparison.gating import Gate, GateDecision
from rageval.comparison.pairing import Pair
from rageval.comparison.run_comparison import MetricComparison, RunComparison
from rageval.metrics.catalogue import higher_is_better
from rageval.pages.formats import number
from rageval.statistics.paired import PairedDifference

READING = (
    "The difference is candidate - baseline, over the questions where both have a value, with its 95 % interval, "
    "clustered by document. p is adjusted for all comparisons of this table (Holm). Min. detectable: the smallest true "
    "difference that these questions would have shown in 4 of 5 cases. Without a value: questions left out in the "
    "baseline and in the candidate."
)


def sentences(comparison: RunComparison) -> list[str]:
    """Return one sentence for each verdict that was reached, the strongest first."""
    said = {
        "better": "The candidate is better than the baseline in",
        "worse": "The candidate is worse than the baseline in",
        "no difference seen": "No difference seen, though one that matters would have been, in",
        "too few questions": "Too few questions to tell, in",
    }
    found = []
    for verdict, words in said.items():
        rows = [row for row in comparison.compared if row.verdict == verdict]
        with_figures = verdict in ("better", "worse")
        if names := [_name(row, with_figures=with_figures) for row in rows]:
            found.append(f"{words} {_enumerated(names)}.")
    return found or ["Of nothing that was compared is more or less better in itself."]


def comparison_rows(comparison: RunComparison) -> list[dict[str, str]]:
    """Return a row per metric and system or retriever; all rows have the same keys."""
    return [
        {
            **_what(row.pair),
            "metric": row.metric,
            "baseline": number(row.mean_a),
            "candidate": number(row.mean_b),
            "difference": difference(row.difference),
            "p": p_value(row.p_value) if row.difference else "-",
            "min. detectable": number(row.difference.smallest_detectable) if row.difference else "-",
            "better / worse / same": _counts(row),
            "n": f"{row.n:,}",
            "without a value": f"{row.left_out_a:,} / {row.left_out_b:,}",
            "verdict": words_of(row),
        }
        for row in comparison.compared
    ]


def brief_rows(comparison: RunComparison) -> list[dict[str, str]]:
    """Return the rows of a comparison with what a terminal has room for."""
    shown = ("baseline", "candidate", "difference", "p", "min. detectable", "verdict")
    return [
        {"metric": f"{row['metric']}\n{row['of']}"} | {name: row[name] for name in shown}
        for row in comparison_rows(comparison)
    ]


def beside_rows(comparison: RunComparison) -> list[dict[str, str]]:
    """Return a row per statistic of cost, latency and length."""
    return [
        {
            **_what(statistic.pair),
            "statistic": statistic.statistic,
            "baseline": statistic.in_a,
            "candidate": statistic.in_b,
            "candidate / baseline": "unknown" if statistic.ratio is None else f"{statistic.ratio:,.2f}",
        }
        for statistic in comparison.beside
    ]


def refused_rows(comparison: RunComparison) -> list[dict[str, str]]:
    """Return a row per metric that is not compared, with the reason."""
    return [
        {
            "metric": refused.metric,
            "of": refused.name,
            "not compared because": refused.reason,
        }
        for refused in comparison.refused
    ]


def setting_rows(comparison: RunComparison) -> list[dict[str, str]]:
    """Return a row per setting in which the runs differ."""
    return [{"setting": name, "baseline": a, "candidate": b} for name, a, b in comparison.settings]


def gate_sentence(gate: Gate) -> str:
    """Return in one sentence whether the candidate passes, or the first reason why not."""
    if gate.passed:
        words = f"Passed: {gate.b} did not get worse than {gate.a} by more than {gate.max_drop:g} beyond the noise."
    else:
        more = len(gate.reasons) - 1
        words = f"Failed: {gate.reasons[0].rstrip('.')}." + (f" And {more} more." if more else "")
    return f"{words} Only common questions are compared: {gate.left_behind}." if gate.left_behind else words


def gate_rows(gate: Gate) -> list[dict[str, str]]:
    """Return a row per metric and system or retriever of a gate."""
    return [
        {
            **(_what(row.pair) if row.pair else {"of": ""}),
            "metric": row.metric,
            "baseline": number(row.mean_a) if row.pair else "-",
            "candidate": number(row.mean_b) if row.pair else "-",
            "difference": difference(row.difference),
            "n": f"{row.n:,}" if row.pair else "-",
            "min. detectable": number(row.difference.smallest_detectable) if row.difference else "-",
            "outcome": row.outcome,
        }
        for row in _ordered(gate.rows)
    ]


def gate_reading(gate: Gate) -> str:
    """Return how the table of a gate is to be read."""
    return (
        f"Difference: candidate minus baseline, over the questions where both have a value, with an interval at "
        f"{100 * gate.confidence:.4g} %, so that all intervals of the table hold together with 95 %. Worse: the drop "
        f"is larger than {gate.max_drop:g} and the interval excludes no drop. Min. detectable: the smallest true "
        "difference that these questions would have shown in 4 of 5 cases."
    )


def difference(found: PairedDifference | None) -> str:
    """Return a difference with its interval."""
    if found is None:
        return "no interval"
    return f"{signed(found.mean)} [{signed(found.low)}, {signed(found.high)}]"


def signed(value: float) -> str:
    """Return a number with 3 decimals and its sign; what rounds to 0 has none."""
    text = f"{value:+,.3f}"
    return "0.000" if text in ("+0.000", "-0.000") else text


def p_value(value: float) -> str:
    """Return a p-value; very small ones as `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def words_of(row: MetricComparison) -> str:
    """Return a verdict as it stands in tables."""
    if row.verdict is None:
        return "neither is better in itself"
    return f"the candidate is {row.verdict}" if row.verdict in ("better", "worse") else row.verdict


def _what(pair: Pair) -> dict[str, str]:
    return {"of": pair.name}


def _name(row: MetricComparison, *, with_figures: bool) -> str:
    of = f"{row.metric} of {row.pair.name}"
    return f"{of} ({difference(row.difference)})" if with_figures else of


def _counts(row: MetricComparison) -> str:
    if row.difference is None:
        return "-"
    better, worse = row.difference.better, row.difference.worse
    if higher_is_better(row.metric) is False:
        better, worse = worse, better
    return f"{better:,} / {worse:,} / {row.difference.tied:,}"


def _ordered(rows: Sequence[GateDecision]) -> Iterator[GateDecision]:
    """Yield what failed first."""
    yield from sorted(rows, key=lambda row: row.outcome == "passed")


def _enumerated(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
