"""Table of scores -> how many verdicts have which label, a table for each scale; and the colour of each label."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from rageval.comparison.summary import label_counts
from rageval.metrics.catalogue import find, of_kind
from rageval.metrics.correctness import CORRECTNESS
from rageval.metrics.metric import JudgeMetric
from rageval.pages import plots

LabelRow: TypeAlias = tuple[tuple[str, str], Mapping[str, int], Markup]
"""Metric and system; how many of each label or status; a bar of them."""
LabelTable: TypeAlias = tuple[Mapping[str, str], Sequence[LabelRow]]
"""The colour of each of its columns, and its rows."""
_NO_LABEL: Final = {"unscored": plots.UNSCORED, "failed": plots.FAILED, "skipped": plots.SKIPPED}


def label_colours(metric: str) -> dict[str, str]:
    """Return the colour of each label of a metric, best first, and of each status without a label.

    People label answers as judges of their correctness do.
    """
    found = find(metric)
    best, *others = (found if isinstance(found, JudgeMetric) else CORRECTNESS).scale
    between = dict.fromkeys(others[:-1], plots.MIDDLE)
    return {best: plots.GOOD, **between, **dict.fromkeys(others[-1:], plots.BAD), **_NO_LABEL}


def label_tables(scores: pa.Table) -> list[LabelTable]:
    """Return a table for each set of labels, with a row per metric and system."""
    judged = pa.array([metric.name for metric in of_kind(JudgeMetric)], pa.string())
    counted: dict[tuple[str, str], dict[str, int]] = {}
    for row in label_counts(scores.filter(pc.is_in(scores["metric"], judged))).to_pylist():
        key = (row["metric"], row["system"])
        parts = counted.setdefault(key, dict.fromkeys(label_colours(row["metric"]), 0))
        name = row["label"] if row["status"] == "ok" else row["status"]
        if name in parts:
            parts[name] += row["n"]
    tables: dict[tuple[str, ...], tuple[dict[str, str], list[LabelRow]]] = {}
    for key, parts in sorted(counted.items(), key=lambda item: item[0][0]):
        colours = label_colours(key[0])
        tables.setdefault(tuple(parts), (colours, []))[1].append((key, parts, _bar(parts, colours)))
    return list(tables.values())


def _bar(parts: Mapping[str, int], colours: Mapping[str, str]) -> Markup:
    by_colour: Counter[str] = Counter()
    for name, n in parts.items():
        by_colour[colours[name]] += n
    return plots.stacked_bar(by_colour)
