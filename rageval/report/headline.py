"""The summary and the comparisons of a run -> what they let one say, in a sentence per metric.

No system is called better than another unless the two were compared question by question.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa

from rageval.config.systems import MEASURES
from rageval.metrics import catalogue
from rageval.metrics.metric import ScoreMetric
from rageval.report.comparison_rows import Row, of_systems, price_ratio, price_words
from rageval.report.pivot import Group, cell, groups, quality_metrics
from rageval.tables import COMPARISONS

_OPPOSITE = {"better": "worse", "worse": "better"}


def headline(
    summary: pa.Table,
    comparisons: pa.Table | None = None,
    *,
    systems: pa.Table | None = None,
    unfit: Collection[str] = frozenset(),
) -> list[str]:
    """Return one sentence per leading metric of the run, or one that says that nothing could be scored.

    Args:
        summary: Table `tables.SUMMARY`.
        comparisons: Table `tables.COMPARISONS` of the same run; without it nothing is called better.
        systems: Table `tables.SYSTEMS` of the same run; says which are there to measure the others against.
        unfit: Metrics that nothing may be ranked by, because their judge is unfit.
    """
    found = _ranked([group for group in groups(summary) if not group.is_retriever], systems)
    rows = (COMPARISONS.empty_table() if comparisons is None else comparisons).to_pylist()
    scored = quality_metrics(found)
    metrics = [metric for metric in scored if metric not in unfit]
    if scored and not metrics:
        return ["Nothing is ranked: the judge is unfit, and nothing else was scored."]
    leading = [metric for metric in catalogue.headline(ScoreMetric) if metric in metrics] or metrics[:1]
    sentences = [sentence for metric in leading if (sentence := _sentence(found, rows, metric))]
    sentences += [sentence for metric in leading for sentence in _parts(rows, metric)]
    return sentences or ["No answer could be scored."]


def _ranked(found: list[Group], systems: pa.Table | None) -> list[Group]:
    """Return the systems that one may be chosen of: where there are others, no closed book and no oracle."""
    kinds = {row["system"]: row["kind"] for row in systems.to_pylist()} if systems is not None else {}
    return [group for group in found if kinds.get(group.name) not in MEASURES] or found


def _sentence(found: Sequence[Group], rows: Sequence[Row], metric: str) -> str | None:
    measured = [c for c in found if c.statistics.get(metric, {}).get("mean") is not None]
    if not measured:
        return None
    best = max(measured, key=lambda c: float(c.statistics[metric]["mean"]))
    name, shown = best.name, cell(best.statistics[metric])
    value = f"{shown.mean} {shown.interval}"
    others = [c for c in measured if c is not best]
    if not others:
        return f"{name} has {metric} {value}; there is nothing to compare it with."
    said = "; ".join(_verdicts(best, others, of_systems(rows, metric)))
    return f"The highest mean {metric} is {value} ({name}). Question by question: {said}."


def _parts(rows: Sequence[Row], metric: str) -> Iterator[str]:
    """Yield what is said of a prompt, a model or a retriever over all systems that differ in it alone."""
    for row in rows:
        if row["metric"] == metric and row["of"] == "pooled" and row["difference"] is not None:
            interval = f"{row['difference']:+.3f} [{row['ci_low']:+.3f}, {row['ci_high']:+.3f}]"
            yield (
                f"{row['differ_in'].capitalize()} {row['candidate']} against {row['baseline']}, over all systems that "
                f"differ in it alone: {row['verdict']}, {metric} {interval}."
            )


def _verdicts(
    best: Group,
    others: Sequence[Group],
    compared: Mapping[tuple[str, str], Row],
) -> Iterator[str]:
    """Yield what the comparisons say of the best one, the same verdict about several in one clause."""
    clauses: dict[str, list[str]] = {}
    for other in others:
        verdict, ratio = _compared(best, other, compared)
        price = f" (at {price_words(ratio)})" if ratio else ""
        clauses.setdefault(verdict, []).append(other.name + price)
    for verdict, beginning in (
        ("better", "it is better than"),
        ("worse", "where both have a value, it is worse than"),
        ("no difference seen", "no difference is seen to"),
        ("too few questions", "there are too few questions to tell it from"),
        ("not compared", "it was not compared with"),
    ):
        if names := clauses.get(verdict):
            yield f"{beginning} {_enumerate(names)}"


def _compared(best: Group, other: Group, compared: Mapping[tuple[str, str], Row]) -> tuple[str, float | None]:
    """Return the verdict on the best one, and how many times as much as the other it costs, where known."""
    if (row := compared.get((other.name, best.name))) is not None:
        return str(row["verdict"]), price_ratio(row)
    if (row := compared.get((best.name, other.name))) is not None:
        verdict, ratio = str(row["verdict"]), price_ratio(row)
        return _OPPOSITE.get(verdict, verdict), 1 / ratio if ratio else None
    return "not compared", None


def _enumerate(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
