"""Names of metrics: `metric`, or `metric[detail]` for what stands behind a metric and is no result of its own.

`correctness[again]` is the same judge's second verdict, `correctness[single]` one that was asked for alone where others
are combined, `correctness[gpt-4o]` that of one judge of several, `pairwise[gpt-4o]` a choice between two models.
Summaries leave details out; the judge's report reads them. A retrieval metric is cut off at a rank, `ndcg@10`.
"""

from typing import Final

AGAIN: Final = "again"
"""Detail of a second verdict by the same judge; no judge can have this name."""
SINGLE: Final = "single"
"""Detail of a verdict that was asked for alone beside a combined one; no judge can have this name."""


def detail_of(metric: str, detail: str) -> str:
    """Return the name of a metric's detail."""
    return f"{metric}[{detail}]"


def split_detail(name: str) -> tuple[str, str | None]:
    """Return the metric and the detail, or None where the name is a metric's own."""
    metric, bracket, rest = name.partition("[")
    return (metric, rest.removesuffix("]")) if bracket else (name, None)


def metric_of(name: str) -> str:
    """Return the metric behind a name: `ndcg` of `ndcg@10`, `pairwise` of `pairwise[gpt-4o]`."""
    return split_detail(name)[0].partition("@")[0]


def at(metric: str, k: int) -> str:
    """Return the name of a metric at a cut-off, such as `ndcg@5`."""
    return f"{metric}@{k}"
