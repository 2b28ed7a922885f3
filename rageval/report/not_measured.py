"""The tables of a run -> what could not be measured of its answers and why, in a sentence each."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from rageval.comparison.retrieval_values import has_relevant
from rageval.metrics import catalogue
from rageval.metrics.metric import DerivedMetric
from rageval.metrics.names import split_detail


def not_measured(
    questions: pa.Table, systems: pa.Table, retrieval: pa.Table, answers: pa.Table, scores: pa.Table
) -> list[str]:
    """Return a sentence for each system and reason why metrics are not measured of its answers; then on retrieval.

    Args:
        questions: Table `tables.QUESTIONS`.
        systems: Table `tables.SYSTEMS`.
        retrieval: Table `tables.RETRIEVAL`.
        answers: Table `tables.ANSWERS`, of every repeat.
        scores: Table `tables.SCORES`, of every repeat.
    """
    return [*_of_answers(scores), *_of_contexts(systems, answers), *_of_relevance(questions, retrieval)]


def _of_answers(scores: pa.Table) -> Iterator[str]:
    keys = ["system", "metric"]
    asked = _counted(scores, keys)
    lacking = scores.select([*keys, "error"]).filter(pc.equal(scores["status"], "not_measured"))
    missing = _counted(lacking, [*keys, "error"])
    said: dict[tuple[str, str, int, int], list[str]] = {}
    for (system, metric, error), n in missing.items():
        if split_detail(metric)[1] is None and not _is_of_some(metric):
            said.setdefault((system, error or "no reason given", n, asked[system, metric]), []).append(metric)
    for (system, error, n, of), metrics in said.items():
        names = _listed(catalogue.in_order(metrics))
        verb = "was" if len(metrics) == 1 else "were"
        yield f"{names} {verb} not measured of {n:,} of {of:,} answers of {system}: {error}."


def _is_of_some(metric: str) -> bool:
    """Return whether a metric is of some questions by its definition, so that the others lack nothing."""
    found = catalogue.find(metric)
    return isinstance(found, DerivedMetric) and found.of is not None


def _of_contexts(systems: pa.Table, answers: pa.Table) -> Iterator[str]:
    columns = {"system": answers["system"], "unknown": pc.is_null(answers["context_ids"])}
    given = pa.table(columns).filter(pc.equal(answers["status"], "ok"))
    of = _counted(given, ["system"])
    unknown = _counted(given.filter(given["unknown"]), ["system"])
    for name in systems["system"].to_pylist():
        if n := unknown.get((name,)):
            yield (
                f"Retrieval was not measured of {n:,} of {of[name,]:,} answers of {name}: "
                "the system does not say what it was shown."
            )


def _of_relevance(questions: pa.Table, retrieval: pa.Table) -> Iterator[str]:
    if not retrieval.num_rows:
        return
    asked = pa.table({"question_id": questions["question_id"]})
    unknown = len(asked) - int(has_relevant(questions, asked).sum())
    if unknown:
        yield (
            f"Retrieval was not measured of {unknown:,} of {len(asked):,} questions: nothing is known to be relevant."
        )


def _counted(table: pa.Table, keys: list[str]) -> dict[tuple[str, ...], int]:
    """Return how many rows each combination of these columns has, in the order of first appearance."""
    counted = table.select(keys).unify_dictionaries().group_by(keys, use_threads=False).aggregate([([], "count_all")])
    return {tuple(row[key] for key in keys): row["count_all"] for row in counted.to_pylist()}


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
