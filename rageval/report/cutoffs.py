"""The summary table -> retrieval metrics at one k for the main table, and every metric at every k beside it."""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from rageval.metrics.catalogue import compared, of_kind
from rageval.metrics.metric import RetrievalMetric
from rageval.metrics.names import at
from rageval.report.pivot import Cell, cell, groups, quality_metrics


@dataclass(frozen=True, kw_only=True)
class CutoffRow:
    """One metric of one retriever."""

    retriever: str
    metric: str
    """Without its k, such as `ndcg`."""
    cells: tuple[Cell, ...]
    """In the order of `CutoffTable.cutoffs`."""


@dataclass(frozen=True, kw_only=True)
class CutoffTable:
    """Every retrieval metric at every k."""

    cutoffs: tuple[int, ...]
    """Every k, ascending."""
    rows: tuple[CutoffRow, ...]
    """By retriever in the order of the summary, then as in the catalogue."""


def metrics_at(names: Iterable[str], top_k: int, wanted: Iterable[str] | None = None) -> list[str]:
    """Return those of the names that are wanted retrieval metrics at `top_k`; all names where there are none."""
    known = list(names)
    return [name for metric in wanted or _retrieval() if (name := at(metric, top_k)) in known] or known


def leading_metrics(summary: pa.Table, top_k: int) -> list[str]:
    """Return the names of the metrics that the terminal shows: the leading ones at the run's `top_k`."""
    names = quality_metrics([group for group in groups(summary) if group.is_retriever])
    return metrics_at(names, top_k, compared(RetrievalMetric))


def cutoff_table(summary: pa.Table) -> CutoffTable:
    """Return the retrieval metrics of a summary at every k; no cut-offs and no rows if nothing was retrieved."""
    searches = [group for group in groups(summary) if group.is_retriever]
    parts = [name.partition("@") for c in searches for name in c.statistics if "@" in name]
    cutoffs = tuple(sorted({int(k) for _, _, k in parts}))
    present = {metric for metric, _, _ in parts}
    rows = tuple(
        CutoffRow(
            retriever=c.name,
            metric=metric,
            cells=tuple(cell(c.statistics.get(at(metric, k))) for k in cutoffs),
        )
        for c in searches
        for metric in _retrieval()
        if metric in present
    )
    return CutoffTable(cutoffs=cutoffs, rows=rows)


def _retrieval() -> list[str]:
    return [metric.name for metric in of_kind(RetrievalMetric)]
