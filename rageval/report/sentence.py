"""The summary of a run -> one sentence that says what came out: the message of its final state."""

from collections.abc import Collection, Iterator, Sequence

import pyarrow as pa

from rageval.metrics.catalogue import headline
from rageval.metrics.metric import ScoreMetric
from rageval.pages.formats import count
from rageval.report.cutoffs import leading_metrics
from rageval.report.pivot import Group, cell, groups, quality_metrics
from rageval.runs.manifest import Manifest

_MOST = 3
"""Systems that one sentence has room for."""


def run_sentence(summary: pa.Table, manifest: Manifest, *, unfit: Collection[str] = frozenset()) -> str:
    """Return status, number of questions, the leading values of answers and search, and warnings; nothing is ranked.

    Args:
        summary: Table `tables.SUMMARY`.
        manifest: Its manifest.
        unfit: Metrics that are left out because their judge is unfit.
    """
    asked = max((int(row["n"]) for group in groups(summary) for row in group.statistics.values()), default=0)
    questions = f"{count(asked)} question{'' if asked == 1 else 's'}"
    said = ", ".join(filter(None, (questions, leading_values(summary, manifest, unfit=unfit))))
    warnings = "".join(f"; {warning}" for warning in manifest.warnings)
    return f"{manifest.status}: {said}{warnings}"


def leading_values(summary: pa.Table, manifest: Manifest, *, unfit: Collection[str] = frozenset()) -> str:
    """Return the leading values of answers and search; empty if there are none.

    Args:
        summary: Table `tables.SUMMARY`.
        manifest: Its manifest.
        unfit: Metrics that are left out because their judge is unfit.
    """
    found = groups(summary)
    parts = [*_answers(found, unfit)]
    searches = [group for group in found if group.is_retriever]
    if searches:
        metric = leading_metrics(summary, manifest.config.retrieval.top_k)[0]
        parts += [_sentence_part(metric, [(group.name, cell(group.statistics.get(metric)).mean) for group in searches])]
    return ", ".join(parts)


def _answers(found: Sequence[Group], unfit: Collection[str]) -> Iterator[str]:
    answering = [group for group in found if not group.is_retriever]
    metrics = [metric for metric in quality_metrics(answering) if metric not in unfit]
    leading = [metric for metric in headline(ScoreMetric) if metric in metrics] or metrics
    for metric in leading[:1]:
        cells = [(group.name, cell(group.statistics.get(metric))) for group in answering]
        yield _sentence_part(metric, [(name, f"{shown.mean} {shown.interval}".strip()) for name, shown in cells])
    if unfit:
        yield "the judge is unfit"


def _sentence_part(metric: str, values: Sequence[tuple[str, str]]) -> str:
    if len(values) == 1:
        return f"{metric} {values[0][1]}"
    more = f" and {len(values) - _MOST} more" if len(values) > _MOST else ""
    return f"{metric} " + "; ".join(f"{name} {value}" for name, value in values[:_MOST]) + more
