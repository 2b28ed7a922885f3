"""The summary table -> what it lets one say, in a sentence per metric.

No configuration is called better than another while their intervals overlap.
"""

from collections.abc import Sequence

import pyarrow as pa

from rageval.report.pivot import Configuration, cell, configurations, quality_metrics

LEADING = ("judge_with_reference", "cosine")
"""Metrics worth a sentence; where a run has neither, its first score metric is."""


def headline(summary: pa.Table) -> list[str]:
    """Return one sentence per leading metric of the run, or one that says that nothing could be scored."""
    found = [c for c in configurations(summary) if c.model is not None]
    metrics = quality_metrics(found)
    leading = [metric for metric in LEADING if metric in metrics] or metrics[:1]
    sentences = [sentence for metric in leading if (sentence := _sentence(found, metric))]
    return sentences or ["No answer could be scored."]


def name_of(configuration: Configuration, found: Sequence[Configuration]) -> str:
    """Return the model's name, with its search method where the run compares several."""
    if len({c.search_method for c in found}) == 1:
        return configuration.model or ""
    return f"{configuration.model} ({configuration.search_method})"


def _sentence(found: Sequence[Configuration], metric: str) -> str | None:
    measured = [c for c in found if c.figures.get(metric, {}).get("mean") is not None]
    if not measured:
        return None
    best = max(measured, key=lambda c: float(c.figures[metric]["mean"]))
    name, shown = name_of(best, found), cell(best.figures[metric])
    value = f"{shown.mean} {shown.interval}"
    others = [c for c in measured if c is not best]
    if not others:
        return f"{name} has {metric} {value}; there is nothing to compare it with."
    rivals = [name_of(c, found) for c in others if not _above(best, c, metric)]
    if not rivals:
        return (
            f"{name} has the highest {metric}, {value}; its 95 % interval lies above "
            f"{'that of the other' if len(others) == 1 else 'those of all others'}."
        )
    return (
        f"The highest mean {metric} is {value} ({name}), but its 95 % interval does not lie clear of that of "
        f"{_enumerate(rivals)}: these figures do not show which is better. A paired comparison over the same "
        "questions may."
    )


def _above(best: Configuration, other: Configuration, metric: str) -> bool:
    low, high = best.figures[metric]["ci_low"], other.figures[metric]["ci_high"]
    return low is not None and high is not None and bool(low > high)


def _enumerate(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
