"""The tables of a run -> its systems and retrievers compared in pairs, question by question.

Every difference is candidate - baseline; of two systems the one that comes first in the run is the baseline. Compared
are systems that differ in one thing only (the model, the prompt, the retriever), or in their kind alone. Where several
pairs differ in the same thing, such as two prompts with each of two models, they are also compared pooled: question by
question over the means of both sides. What only one side has a value for is in no comparison.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from rageval.comparison.measurements import Key, Measurement, RunTables, Subject, measurements
from rageval.metrics.catalogue import bounds, compared, find, higher_is_better
from rageval.metrics.measured import COST
from rageval.metrics.metric import DerivedMetric, RetrievalMetric, ScoreMetric
from rageval.metrics.names import at
from rageval.runs.alignment import aligned
from rageval.runs.clusters import clusters
from rageval.statistics.multiplicity import holm_of_known
from rageval.statistics.paired import PairedDifference, paired_difference
from rageval.statistics.verdicts import Verdict, verdict
from rageval.tables import COMPARISONS

PARTS: Final = ("prompt", "model", "retriever")
"""What two systems can differ in, besides their kind."""
MetricComparison: TypeAlias = Literal["systems", "pooled", "retrievers"]
_System: TypeAlias = Mapping[str, Any]
"""A row of the table `tables.SYSTEMS`."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Two measurements of one metric that are to be compared."""

    baseline: Measurement
    candidate: Measurement
    of: MetricComparison = "systems"
    differ_in: str = ""
    """`model`, `prompt`, `retriever`, `kind`, several joined by ` + `; `system` where its parts are not known."""
    cost_baseline_usd: float | None = None
    """Mean US dollars of an answer; None where unknown."""
    cost_candidate_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What can be said about one pairing."""

    pairing: Pairing
    n: int
    """Questions for which both sides have a value; the means are over these."""
    mean_baseline: float | None
    mean_candidate: float | None
    difference: PairedDifference | None
    """candidate - baseline; None with fewer than 2 documents."""
    p_adjusted: float | None
    """After Holm's correction for all pairings of the call; None without a difference."""
    verdict: Verdict
    """About the candidate."""


def compare_within(run: RunTables) -> list[Comparison]:
    """Return every comparison within a run: pooled ones, then systems, then retrievers.

    Of the answers' metrics those are compared that have bounds and a good direction: length, refusals, latency
    and cost decide nothing by themselves. They come in the order of the run's measurements, metric by metric.

    Args:
        run: Its tables; `top_k` is the rank at which retrieval metrics are taken.

    Raises:
        ValueError: If the retrieval holds a question that is not in the questions table.
    """
    if max(len(run.retrieval["retriever"].unique()), len(run.answers["system"].unique())) < 2:
        return []
    found = measurements(run, [run.top_k])
    systems = {row["system"]: row for row in run.systems.to_pylist()}
    wanted = [at(name, run.top_k) for name in compared(RetrievalMetric, several=run.depth.accept_alternates)]
    return compare_values([*_pairings(found, systems, wanted)], clusters(run.questions))


def compare_values(pairings: Sequence[Pairing], documents: pd.Series) -> list[Comparison]:
    """Return a comparison per pairing, question by question, adjusted for all of them together.

    Args:
        pairings: What is compared; values of a question that is not in `documents` are left out.
        documents: The cluster of each question, such as its document's id, by question id, without repetition.

    Returns:
        One each, in the order given. A pairing without 2 documents is no test: it counts in no correction.
    """
    clusters = pd.factorize(documents)[0]
    measured = {id(m): m for pairing in pairings for m in (pairing.baseline, pairing.candidate)}
    values = {key: aligned(m.values.index, m.values, documents.index) for key, m in measured.items()}
    pairs = [(values[id(p.baseline)], values[id(p.candidate)]) for p in pairings]
    both = [np.isfinite(baseline) & np.isfinite(candidate) for baseline, candidate in pairs]
    shared = [(baseline[rows], candidate[rows]) for (baseline, candidate), rows in zip(pairs, both, strict=True)]
    differences = [
        paired_difference(candidate, baseline, clusters[rows])
        for (baseline, candidate), rows in zip(shared, both, strict=True)
    ]
    adjusted = holm_of_known(difference.p_value if difference else None for difference in differences)
    return [
        _comparison(pairing, *sides, difference, p)
        for pairing, sides, difference, p in zip(pairings, shared, differences, adjusted, strict=True)
    ]


def comparison_table(comparisons: Sequence[Comparison]) -> pa.Table:
    """Return comparisons as a table `tables.COMPARISONS`, in the order given."""
    return pa.Table.from_pylist([_row(comparison) for comparison in comparisons], schema=COMPARISONS)


def _pairings(
    found: Mapping[Key, Measurement], systems: Mapping[str, _System], searches: Sequence[str]
) -> Iterator[Pairing]:
    answered = [m for m in found.values() if not m.subject.is_retriever and _decides(m.metric)]
    searched = [m for m in found.values() if m.subject.is_retriever]
    costs = {key[0]: float(m.values.mean()) for key, m in found.items() if key[1] == COST.name and len(m.values)}
    by_metric: dict[str, dict[str, Measurement]] = {}
    for m in answered:
        by_metric.setdefault(m.metric, {})[m.subject.name] = m
    pairs = _pairs([systems[name] for name in dict.fromkeys(m.subject.name for m in answered)])
    for metric, of_system in by_metric.items():
        for part in PARTS:
            yield from _pooled(part, [pair for pair in pairs if pair[2] == part], of_system, costs, metric)
    for of_system in by_metric.values():
        for one, other, differ_in in pairs:
            if one["system"] in of_system and other["system"] in of_system:
                yield _priced(of_system[one["system"]], of_system[other["system"]], differ_in, costs)
    for metric in searches:
        for baseline, candidate in combinations([m for m in searched if m.metric == metric], 2):
            yield Pairing(baseline=baseline, candidate=candidate, of="retrievers", differ_in="retriever")


def _pairs(systems: Sequence[_System]) -> list[tuple[_System, _System, str]]:
    """Return the systems that are compared, the baseline first, and what they differ in.

    Where none differ in one thing only, all are compared.
    """
    every = [(one, other, _difference_of(one, other)) for one, other in combinations(systems, 2)]
    simple = [pair for pair in every if " + " not in pair[2]]
    order = {differ_in: rank for rank, differ_in in enumerate((*PARTS, "kind"))}
    return sorted(simple or every, key=lambda pair: order.get(pair[2], len(order)))


def _difference_of(one: _System, other: _System) -> str:
    """Return what two systems differ in.

    Of two kinds no retriever counts, and of a closed book no prompt either: it has to be another one.
    """
    kinds = {one["kind"], other["kind"]}
    if one["prompt"] is None or other["prompt"] is None:
        return "system"  # of a system of its user's own, nobody knows the parts
    if len(kinds) == 1:
        return " + ".join(part for part in PARTS if one[part] != other[part]) or "nothing"
    parts = ("model",) if "closed_book" in kinds else ("model", "prompt")
    return " + ".join(["kind", *(part for part in parts if one[part] != other[part])])


def _pooled(
    part: str,
    pairs: Sequence[tuple[_System, _System, str]],
    of_system: Mapping[str, Measurement],
    costs: Mapping[Subject, float],
    metric: str,
) -> Iterator[Pairing]:
    """Yield the comparison of every two values of a part over all pairs of systems that differ in it alone."""
    levels: dict[tuple[str, str], list[tuple[Measurement, Measurement]]] = {}
    for one, other, _ in pairs:
        if (other[part], one[part]) in levels:  # whatever the order of the systems, one baseline for all pairs
            one, other = other, one  # noqa: PLW2901
        if one["system"] in of_system and other["system"] in of_system:
            both = (of_system[one["system"]], of_system[other["system"]])
            levels.setdefault((one[part], other[part]), []).append(both)
    for (baseline, candidate), matched in levels.items():
        if len(matched) > 1:
            yield Pairing(
                baseline=_mean_of(baseline, [pair[0] for pair in matched], metric),
                candidate=_mean_of(candidate, [pair[1] for pair in matched], metric),
                of="pooled",
                differ_in=part,
                cost_baseline_usd=_mean_cost([pair[0] for pair in matched], costs),
                cost_candidate_usd=_mean_cost([pair[1] for pair in matched], costs),
            )


def _mean_of(name: str, measured: Sequence[Measurement], metric: str) -> Measurement:
    """Return the mean over systems, for the questions that all of them have a value for."""
    values = pd.concat([m.values for m in measured], axis=1, join="inner").mean(axis=1)
    return Measurement(subject=Subject(name=name), metric=metric, values=values)


def _mean_cost(measured: Sequence[Measurement], costs: Mapping[Subject, float]) -> float | None:
    known = [costs.get(m.subject) for m in measured]
    return None if None in known else float(np.mean([cost for cost in known if cost is not None]))


def _decides(metric: str) -> bool:
    """Return whether more or less of a metric of an answer is better by itself."""
    is_score = isinstance(find(metric), ScoreMetric | DerivedMetric)
    return is_score and higher_is_better(metric) is not None and bounds(metric) is not None


def _priced(baseline: Measurement, candidate: Measurement, differ_in: str, costs: Mapping[Subject, float]) -> Pairing:
    return Pairing(
        baseline=baseline,
        candidate=candidate,
        differ_in=differ_in,
        cost_baseline_usd=costs.get(baseline.subject),
        cost_candidate_usd=costs.get(candidate.subject),
    )


def _comparison(
    pairing: Pairing,
    baseline: NDArray[np.float64],
    candidate: NDArray[np.float64],
    difference: PairedDifference | None,
    p: float | None,
) -> Comparison:
    return Comparison(
        pairing=pairing,
        n=baseline.size,
        mean_baseline=float(baseline.mean()) if baseline.size else None,
        mean_candidate=float(candidate.mean()) if candidate.size else None,
        difference=difference,
        p_adjusted=p,
        verdict=verdict(
            difference, 1.0 if p is None else p, higher_is_better=higher_is_better(pairing.baseline.metric) is not False
        ),
    )


def _row(comparison: Comparison) -> dict[str, str | float | None]:
    pairing, difference = comparison.pairing, comparison.difference
    row: dict[str, str | float | None] = {
        "metric": pairing.baseline.metric,
        "differ_in": pairing.differ_in,
        "of": pairing.of,
        "baseline": pairing.baseline.subject.name,
        "candidate": pairing.candidate.subject.name,
        "n": comparison.n,
        "mean_baseline": comparison.mean_baseline,
        "mean_candidate": comparison.mean_candidate,
        "p_adjusted": comparison.p_adjusted,
        "verdict": comparison.verdict,
        "cost_baseline_usd": pairing.cost_baseline_usd,
        "cost_candidate_usd": pairing.cost_candidate_usd,
    }
    if difference is None:
        return row
    return row | {
        "clusters": difference.clusters,
        "difference": difference.mean,
        "ci_low": difference.low,
        "ci_high": difference.high,
        "standard_error": difference.standard_error,
        "p_value": difference.p_value,
        "effect_size": difference.effect_size,
        "better": difference.better,
        "worse": difference.worse,
        "tied": difference.tied,
        "smallest_detectable": difference.smallest_detectable,
    }
