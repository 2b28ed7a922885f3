"""Names of metrics: `metric`, or `metric[detail]` for what stands behind a metric and is no result of its own.

`judge_with_reference[again]` is the same judge's second verdict, `judge_with_reference[gpt-4o]` that of one judge of
several, `pairwise[gpt-4o]` a choice between two models. Summaries leave details out; the judge's report reads them.
"""

from typing import Final

AGAIN: Final = "again"
"""Detail of a second verdict by the same judge; no judge can have this name."""


def detail_of(metric: str, detail: str) -> str:
    """Return the name of a metric's detail."""
    return f"{metric}[{detail}]"


def split_detail(name: str) -> tuple[str, str | None]:
    """Return the metric and the detail, or None where the name is a metric's own."""
    metric, bracket, rest = name.partition("[")
    return (metric, rest.removesuffix("]")) if bracket else (name, None)


COSINE: Final = "cosine"
WITH_REFERENCE: Final = "judge_with_reference"
WITHOUT_REFERENCE: Final = "judge_without_reference"
FAITHFULNESS: Final = "judge_faithfulness"
PAIRWISE: Final = "pairwise"
