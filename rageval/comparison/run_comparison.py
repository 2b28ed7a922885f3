"""Two runs -> how much the second differs from the first, how sure that is, and what may be said about it.

Every difference is candidate - baseline; `b` is the candidate, `a` the baseline.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rageval.comparison.beside import StatisticPair, beside
from rageval.comparison.comparability import other_corpus
from rageval.comparison.measurements import RunTables
from rageval.comparison.paired_values import PairedValues, RunPair, UncomparedMetric, side_by_side
from rageval.comparison.pairing import Choice, Pair
from rageval.config.effects import with_effect
from rageval.errors import DataError
from rageval.metrics.catalogue import bounds, higher_is_better
from rageval.runs.manifest import Manifest
from rageval.statistics.multiplicity import holm_of_known
from rageval.statistics.paired import PairedDifference, paired_difference
from rageval.statistics.verdicts import RELEVANT, Verdict, verdict

UNEVEN: Final = 0.01
"""Difference of the shares of questions without a value above which a comparison is warned about."""
_BY_CONTENT: Final = {"data.documents": "documents_fingerprint", "data.ground_truth": "questions_fingerprint"}
"""Files, and what tells whether those of two runs hold the same, wherever they lie."""


@dataclass(frozen=True, kw_only=True)
class MetricComparison:
    """One metric of one system or retriever of each run, compared over the questions where both have a value."""

    pair: Pair
    metric: str
    mean_a: float | None
    """Mean over the questions that both have a value for; None without any."""
    mean_b: float | None
    difference: PairedDifference | None
    """Candidate - baseline; None with fewer than 2 documents."""
    p_value: float
    """Holm-adjusted over everything that is compared; 1 without a difference."""
    verdict: Verdict | None
    """About the candidate; None for a metric of which neither more nor less is better."""
    questions: int
    """Questions that could have had a value."""
    n: int
    """Of these with a value in both runs."""
    left_out_a: int
    """Questions without a value in the baseline."""
    left_out_b: int
    """Questions without a value in the candidate."""


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """Everything that was found out about two runs."""

    a: RunTables
    """The baseline."""
    b: RunTables
    """The candidate."""
    questions: int
    compared: Sequence[MetricComparison]
    refused: Sequence[UncomparedMetric]
    warnings: Sequence[str]
    """What a reader has to know before the values, in sentences."""
    settings: Sequence[tuple[str, str, str]]
    """Setting, its value in the baseline and in the candidate, where they differ and could change a result."""
    beside: Sequence[StatisticPair]
    values: Sequence[PairedValues]
    """What was compared, in the order of `compared`."""


def compare_runs(
    a: RunTables, b: RunTables, choice: Choice, *, common: bool = False, relevant: float = RELEVANT
) -> RunComparison:
    """Compare the candidate with the baseline question by question.

    Args:
        a: The baseline.
        b: The candidate.
        choice: Which metrics, systems and retrievers, see `side_by_side`.
        common: Compare the questions that both runs have, though one has others, too.
        relevant: A difference that would matter, in the metric's unit, above 0; see `verdict`.

    Raises:
        ConfigError: If a named system or retriever is not in its run.
        DataError: If the questions are not comparable, or no metric is; the message lists the reasons.
    """
    found = side_by_side(a, b, choice, common=common)
    if not found.paired:
        raise DataError(nothing_comparable(a, b, found))
    differences = [difference_of(values) for values in found.paired]
    adjusted = holm_of_known(difference.p_value if difference else None for difference in differences)
    compared = [
        _compared(values, difference, 1.0 if p is None else p, relevant)
        for values, difference, p in zip(found.paired, differences, adjusted, strict=True)
    ]
    return RunComparison(
        a=a,
        b=b,
        questions=len(found.question_ids),
        compared=compared,
        refused=found.refused,
        warnings=[*_warnings(a, b, found)],
        settings=other_settings(a.manifest, b.manifest),
        beside=beside(found),
        values=found.paired,
    )


def difference_of(values: PairedValues, confidence: float = 0.95) -> PairedDifference | None:
    """Return candidate - baseline where both have a value, clustered by document; None below 2 documents."""
    both = values.both
    return paired_difference(values.b[both], values.a[both], values.clusters[both], confidence)


def nothing_comparable(a: RunTables, b: RunTables, found: RunPair) -> str:
    """Return why nothing of two runs can be compared, in words."""
    reasons = dict.fromkeys(f"{refused.metric}: {refused.reason}" for refused in found.refused)
    if not reasons:
        names = " and ".join(f"{run.name} has {', '.join(_systems(run)) or 'no answers'}" for run in (a, b))
        reasons = {f"no system fits another ({names}); name them with --baseline-system and --candidate-system": None}
    return f"nothing of {a.name} and {b.name} can be compared:\n" + "\n".join(f"- {reason}" for reason in reasons)


def incomplete(name: str, manifest: Manifest) -> str | None:
    """Return why a run is not complete, by its manifest, or None if it is."""
    if manifest.status == "complete":
        return None
    reason = (manifest.reason or "no reason is noted").rstrip(".")
    return f"{name} is {manifest.status} ({reason})"


def unfit(a: RunTables, b: RunTables) -> dict[str, str]:
    """Return the metrics whose judge is unfit, with the names of the runs that found it so."""
    return {
        metric: " and ".join(run.name for run in (a, b) if metric in run.unfit) for metric in sorted(a.unfit | b.unfit)
    }


def other_settings(a: Manifest, b: Manifest) -> list[tuple[str, str, str]]:
    """Return the settings in which two manifests differ, with both values.

    What cannot change a result is left out: see `with_effect`, and other names of the same data.
    """
    first, second = (_flat(with_effect(manifest.config.model_dump(mode="json"))) for manifest in (a, b))
    same = {name for name, fingerprint in _BY_CONTENT.items() if _known_to_be_same(a, b, fingerprint)}
    return [
        (name, values[0], values[1])
        for name in dict.fromkeys((*first, *second))
        if name not in same
        if len(set(values := [side.get(name, "not set") for side in (first, second)])) > 1
    ]


def _known_to_be_same(a: Manifest, b: Manifest, fingerprint: str) -> bool:
    first, second = (getattr(manifest.dataset, fingerprint, None) for manifest in (a, b))
    return first is not None and first == second


def _compared(values: PairedValues, difference: PairedDifference | None, p: float, relevant: float) -> MetricComparison:
    both = values.both
    n = int(both.sum())
    return MetricComparison(
        pair=values.pair,
        metric=values.metric,
        mean_a=float(values.a[both].mean()) if n else None,
        mean_b=float(values.b[both].mean()) if n else None,
        difference=difference,
        p_value=p,
        verdict=_verdict(values, difference, p, relevant),
        questions=len(values.question_ids),
        n=n,
        left_out_a=values.left_out_a,
        left_out_b=values.left_out_b,
    )


def _verdict(values: PairedValues, difference: PairedDifference | None, p: float, relevant: float) -> Verdict | None:
    direction = higher_is_better(values.metric)
    return None if direction is None else verdict(difference, p, relevant=relevant, higher_is_better=direction)


def _warnings(a: RunTables, b: RunTables, found: RunPair) -> Iterator[str]:
    if found.left_behind:
        yield (
            f"Only the {len(found.question_ids):,} questions that both runs have are compared: {found.left_behind}. "
            "The values hold for these alone"
        )
    for run in (a, b):
        if reason := incomplete(run.name, run.manifest):
            yield f"{reason}. Its values describe only what is there"
    if other_corpus(a, b):
        yield (
            "The documents differ: retrieval was measured on another corpus, so its differences are those of the "
            "corpus, too"
        )
    for side, other, place in ((a, b, 0), (b, a, 1)):
        if alone := [name for name in _systems(side) if name not in {(p.a, p.b)[place].name for p in found.pairs}]:
            yield f"{', '.join(alone)} of {side.name} stands beside no system of {other.name} and is not compared"
    for metric, names in unfit(a, b).items():
        if any(values.metric == metric for values in found.paired):
            yield f"The judge of {metric} is unfit in {names}: nothing should be decided by it"
    for values in found.paired:
        if warning := uneven(values):
            yield warning


def uneven(values: PairedValues) -> str | None:
    """Return a warning if one run lacks values for clearly more questions than the other, or None."""
    n = len(values.question_ids)
    if abs(values.left_out_b - values.left_out_a) <= UNEVEN * n:
        return None
    sentence = (
        f"{values.metric} of {values.pair.name} has no value for {values.left_out_a:,} of {n:,} questions in the "
        f"baseline and {values.left_out_b:,} in the candidate. If the "
        "missing ones are hard, the run with fewer values looks better than it is"
    )
    worst = _if_missing_were_worst(values)
    return (
        sentence
        if worst is None
        else f"{sentence}; with the worst value for each, the difference would be {worst:+.3f}"
    )


def _if_missing_were_worst(values: PairedValues) -> float | None:
    """Return the mean difference if what only one run has no value for had the worst value there."""
    limits, direction = bounds(values.metric), higher_is_better(values.metric)
    any_value = np.isfinite(values.a) | np.isfinite(values.b)
    if limits is None or direction is None or not any_value.any():
        return None
    worst = limits[0] if direction else limits[1]
    a, b = (np.where(np.isnan(side), worst, side)[any_value] for side in (values.a, values.b))
    return float((b - a).mean())


def _systems(run: RunTables) -> list[str]:
    return [str(name) for name in run.answers["system"].unique().to_pylist()]


def _flat(value: Any, prefix: str = "") -> dict[str, str]:
    if isinstance(value, Mapping):
        found: dict[str, str] = {}
        for name, item in value.items():
            found |= _flat(item, f"{prefix}.{name}" if prefix else str(name))
        return found
    if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        return _flat({str(place): item for place, item in enumerate(value, start=1)}, prefix)
    return {prefix: ", ".join(map(str, value)) if isinstance(value, list) else str(value)}
