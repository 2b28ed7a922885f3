"""A comparison of two runs -> one self-contained HTML page that loads nothing and runs nothing."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from rageval.comparison.changes import largest_changes
from rageval.comparison.run_comparison import MetricComparison, RunComparison
from rageval.comparison.sentences import (
    READING,
    beside_rows,
    comparison_rows,
    refused_rows,
    sentences,
    setting_rows,
    signed,
)
from rageval.metrics.catalogue import bounds
from rageval.pages.forest import DrawnInterval, intervals
from rageval.pages.plots import BAD, GOOD, MUTED
from rageval.pages.templates import environment

CHANGES_SHOWN = 10
"""Gains and losses of each system and retriever."""
_COLOURS = {"better": GOOD, "worse": BAD}


def render_compare_page(comparison: RunComparison) -> str:
    """Return the page: verdicts, differences, what was refused, cost beside, the questions that changed most."""
    made = environment()
    made.filters |= {"signed": signed}
    return made.get_template("comparison/page.html.j2").render(
        a=comparison.a,
        b=comparison.b,
        questions=comparison.questions,
        sentences=sentences(comparison),
        warnings=comparison.warnings,
        differences=_with_figures(comparison.compared, comparison_rows(comparison)),
        refused=refused_rows(comparison),
        beside=beside_rows(comparison),
        settings=setting_rows(comparison),
        changes=largest_changes(comparison, CHANGES_SHOWN),
        reading=READING,
    )


def _with_figures(
    compared: Sequence[MetricComparison], rows: Sequence[Mapping[str, str]]
) -> list[tuple[Mapping[str, str], Markup]]:
    """Return each row with its figure; differences of metrics without bounds have no common scale and none."""
    shown = [
        DrawnInterval(
            mean=row.difference.mean,
            low=row.difference.low,
            high=row.difference.high,
            colour=_COLOURS.get(row.verdict or "", MUTED),
        )
        if row.difference and bounds(row.metric)
        else None
        for row in compared
    ]
    return list(zip(rows, intervals(shown), strict=True))
