"""The summary and the comparisons of a run -> what they let one say, in a sentence per metric.

No configuration is called better than another unless the two were compared question by question.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa

from rageval.comparison.summary import LEADING
from rageval.report.comparison_rows import Row, of_configurations, price_ratio, price_words
from rageval.report.pivot import Configuration, cell, configurations, quality_metrics
from rageval.tables import COMPARISONS

_OPPOSITE = {"better": "worse", "worse": "better"}


def headline(
    summary: pa.Table, comparisons: pa.Table | None = None, *, unfit: Collection[str] = frozenset()
) -> list[str]:
    """Return one sentence per leading metric of the run, or one that says that nothing could be scored.

    Args:
        summary: Table `tables.SUMMARY`.
        comparisons: Table `tables.COMPARISONS` of the same run; without it nothing is called better.
        unfit: Metrics that nothing may be ranked by, because their judge is unfit.
    """
    found = [c for c in configurations(summary) if c.model is not None]
    rows = (COMPARISONS.empty_table() if comparisons is None else comparisons).to_pylist()
    scored = quality_metrics(found)
    metrics = [metric for metric in scored if metric not in unfit]
    if scored and not metrics:
        return ["Nothing is ranked: the judge is unfit, and nothing else was scored."]
    leading = [metric for metric in LEADING if metric in metrics] or metrics[:1]
    sentences = [sentence for metric in leading if (sentence := _sentence(found, rows, metric))]
    return sentences or ["No answer could be scored."]


def name_of(configuration: Configuration, found: Sequence[Configuration]) -> str:
    """Return the model's name, with its search method where the run compares several."""
    if len({c.search_method for c in found}) == 1:
        return configuration.model or ""
    return f"{configuration.model} ({configuration.search_method})"


def _sentence(found: Sequence[Configuration], rows: Sequence[Row], metric: str) -> str | None:
    measured = [c for c in found if c.figures.get(metric, {}).get("mean") is not None]
    if not measured:
        return None
    best = max(measured, key=lambda c: float(c.figures[metric]["mean"]))
    name, shown = name_of(best, found), cell(best.figures[metric])
    value = f"{shown.mean} {shown.interval}"
    others = [c for c in measured if c is not best]
    if not others:
        return f"{name} has {metric} {value}; there is nothing to compare it with."
    said = "; ".join(_verdicts(best, others, found, of_configurations(rows, metric)))
    return f"The highest mean {metric} is {value} ({name}). Question by question: {said}."


def _verdicts(
    best: Configuration,
    others: Sequence[Configuration],
    found: Sequence[Configuration],
    compared: Mapping[tuple[tuple[str, str], tuple[str, str]], Row],
) -> Iterator[str]:
    """Yield what the comparisons say of the best one, the same verdict about several in one clause."""
    clauses: dict[str, list[str]] = {}
    for other in others:
        verdict, ratio = _compared(best, other, compared)
        price = f" (at {price_words(ratio)})" if ratio else ""
        clauses.setdefault(verdict, []).append(name_of(other, found) + price)
    for verdict, beginning in (
        ("better", "it is better than"),
        ("worse", "where both have a value, it is worse than"),
        ("no difference seen", "no difference is seen to"),
        ("too few questions", "there are too few questions to tell it from"),
        ("not compared", "it was not compared with"),
    ):
        if names := clauses.get(verdict):
            yield f"{beginning} {_enumerate(names)}"


def _compared(
    best: Configuration, other: Configuration, compared: Mapping[tuple[tuple[str, str], tuple[str, str]], Row]
) -> tuple[str, float | None]:
    """Return the verdict on the best one, and how many times as much as the other it costs, where known."""
    first, second = ((c.model or "", c.search_method) for c in (best, other))
    if (row := compared.get((first, second))) is not None:
        return str(row["verdict"]), price_ratio(row)
    if (row := compared.get((second, first))) is not None:
        verdict, ratio = str(row["verdict"]), price_ratio(row)
        return _OPPOSITE.get(verdict, verdict), 1 / ratio if ratio else None
    return "not compared", None


def _enumerate(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
