"""The tables of a run -> every pair of its configurations compared question by question.

Compared are models with the same search method, search methods of the same model, and search methods by what they
found. What only one side has a value for is in no comparison.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from rageval.comparison.measurements import Key, Measurement, RunTables, measurements
from rageval.metrics.catalog import bounds, higher_is_better, metric_of
from rageval.statistics.multiplicity import holm_of_known
from rageval.statistics.paired import PairedDifference, paired_difference
from rageval.statistics.verdicts import Verdict, verdict
from rageval.tables import COMPARISONS

RETRIEVAL_METRICS: Final = ("hit_rate", "mrr", "ndcg")
"""Retrieval metrics that are compared, each at the run's top_k."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Two measurements of one metric that are to be compared."""

    a: Measurement
    b: Measurement
    cost_a_usd: float | None = None
    """Mean US dollars of an answer; None where unknown."""
    cost_b_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What can be said about one pairing."""

    pairing: Pairing
    n: int
    """Questions for which both sides have a value; the means are over these."""
    mean_a: float | None
    mean_b: float | None
    difference: PairedDifference | None
    """a - b; None with fewer than 2 documents."""
    p_adjusted: float | None
    """After Holm's correction for all pairings of the call; None without a difference."""
    verdict: Verdict
    """About a, as seen from b."""


def compare_within(run: RunTables) -> list[Comparison]:
    """Return every comparison within a run: models, then search methods of the answers, then of the retrieval.

    Of the answers' metrics those are compared that have bounds and of which more is better: length, refusals, latency
    and cost decide nothing by themselves. They come in the order of the run's measurements, metric by metric.

    Args:
        run: Its tables; `top_k` is the rank at which retrieval metrics are taken.

    Raises:
        ValueError: If the retrieval holds a question that is not in the questions table.
    """
    documents = pd.Series(
        pd.factorize(run.questions["document_id"].to_pandas())[0], index=run.questions["question_id"].to_pandas()
    )
    found = measurements(run, [run.top_k])
    return compare_values([*_pairings(found, run.top_k)], documents[~documents.index.duplicated()])


def compare_values(pairings: Sequence[Pairing], documents: pd.Series) -> list[Comparison]:
    """Return a comparison per pairing, question by question, adjusted for all of them together.

    Args:
        pairings: What is compared; values of a question that is not in `documents` are left out.
        documents: The cluster of each question, such as its document's id, by question id, without repetition.

    Returns:
        One each, in the order given. A pairing without 2 documents is no test: it counts in no correction.
    """
    clusters = pd.factorize(documents)[0]
    sides = {id(m): m for pairing in pairings for m in (pairing.a, pairing.b)}
    values = {key: _aligned(m.values, documents.index) for key, m in sides.items()}
    both = [np.isfinite(values[id(p.a)]) & np.isfinite(values[id(p.b)]) for p in pairings]
    shared = [(values[id(p.a)][rows], values[id(p.b)][rows]) for p, rows in zip(pairings, both, strict=True)]
    differences = [paired_difference(a, b, clusters[rows]) for (a, b), rows in zip(shared, both, strict=True)]
    adjusted = holm_of_known(difference.p_value if difference else None for difference in differences)
    return [
        _comparison(pairing, a, b, difference, p)
        for pairing, (a, b), difference, p in zip(pairings, shared, differences, adjusted, strict=True)
    ]


def comparison_table(comparisons: Sequence[Comparison]) -> pa.Table:
    """Return comparisons as a table `tables.COMPARISONS`, in the order given."""
    return pa.Table.from_pylist([_row(comparison) for comparison in comparisons], schema=COMPARISONS)


def _pairings(found: Mapping[Key, Measurement], top_k: int) -> Iterator[Pairing]:
    answered = [m for m in found.values() if m.model is not None and _decides(m.metric)]
    searched = [m for m in found.values() if m.model is None]
    wanted = [f"{name}@{top_k}" for name in RETRIEVAL_METRICS]
    costs = {key[:2]: float(m.values.mean()) for key, m in found.items() if key[2] == "cost_usd" and len(m.values)}
    metrics = list(dict.fromkeys(m.metric for m in answered))
    for metric in metrics:
        for a, b in combinations([m for m in answered if m.metric == metric], 2):
            if a.search_method == b.search_method:
                yield _priced(a, b, costs)
    for metric in metrics:
        for a, b in combinations([m for m in answered if m.metric == metric], 2):
            if a.model == b.model:
                yield _priced(a, b, costs)
    for metric in wanted:
        for a, b in combinations([m for m in searched if m.metric == metric], 2):
            yield Pairing(a=a, b=b)


def _decides(metric: str) -> bool:
    """Return whether more of a metric is better by itself; a choice between two answers is no value of one."""
    return bool(higher_is_better(metric)) and bounds(metric) is not None and metric_of(metric) != "pairwise"


def _priced(a: Measurement, b: Measurement, costs: Mapping[tuple[str | None, str], float]) -> Pairing:
    of_a, of_b = (costs.get((m.model, m.search_method)) for m in (a, b))
    return Pairing(a=a, b=b, cost_a_usd=of_a, cost_b_usd=of_b)


def _aligned(values: pd.Series, questions: pd.Index) -> NDArray[np.float64]:
    """Return one value per question; NaN where there is none."""
    aligned = np.full(len(questions), np.nan)
    places = questions.get_indexer(values.index)
    aligned[places[places >= 0]] = values.to_numpy(dtype=np.float64)[places >= 0]
    return aligned


def _comparison(
    pairing: Pairing,
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    difference: PairedDifference | None,
    p: float | None,
) -> Comparison:
    return Comparison(
        pairing=pairing,
        n=a.size,
        mean_a=float(a.mean()) if a.size else None,
        mean_b=float(b.mean()) if b.size else None,
        difference=difference,
        p_adjusted=p,
        verdict=verdict(
            difference, 1.0 if p is None else p, higher_is_better=higher_is_better(pairing.a.metric) is not False
        ),
    )


def _row(comparison: Comparison) -> dict[str, str | float | None]:
    pairing, difference = comparison.pairing, comparison.difference
    row: dict[str, str | float | None] = {
        "metric": pairing.a.metric,
        "model_a": pairing.a.model,
        "search_method_a": pairing.a.search_method,
        "model_b": pairing.b.model,
        "search_method_b": pairing.b.search_method,
        "n": comparison.n,
        "mean_a": comparison.mean_a,
        "mean_b": comparison.mean_b,
        "p_adjusted": comparison.p_adjusted,
        "verdict": comparison.verdict,
        "cost_a_usd": pairing.cost_a_usd,
        "cost_b_usd": pairing.cost_b_usd,
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
