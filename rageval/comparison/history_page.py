"""The history of a folder of runs -> one self-contained HTML page that loads nothing and runs nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from rageval.comparison.history_plot import trend_plots
from rageval.comparison.history_rows import READING, title, trend_rows
from rageval.comparison.trends import Trend
from rageval.metrics.catalogue import description
from rageval.pages.templates import environment


@dataclass(frozen=True, kw_only=True)
class History:
    """How the metrics of a folder's runs went."""

    folder: str
    runs: int
    """Runs that could be read."""
    trends: Sequence[Trend]
    """Of the metrics that were asked for."""
    table: pa.Table
    """Table `trends.HISTORY` of all metrics."""
    notes: Sequence[str]
    """What was left out, in sentences without a full stop."""


def render_history_page(history: History) -> str:
    """Return the page: a section per metric with a plot per system or retriever and a table of all runs."""
    sections = [
        {
            "id": f"trend-{place}",
            "title": title(trend),
            "metric": trend.metric,
            "description": description(trend.metric),
            "plots": list(zip(trend.series, trend_plots(trend), strict=True)),
            "rows": trend_rows(trend),
        }
        for place, trend in enumerate(history.trends)
    ]
    template = environment().get_template("comparison/history_page.html.j2")
    return template.render(
        folder=history.folder, runs=history.runs, notes=history.notes, sections=sections, reading=READING
    )
