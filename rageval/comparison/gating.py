"""A candidate and its baseline -> whether it has got worse beyond the noise, and if that could have been seen at all.

A metric fails the gate if the candidate's mean is lower by more than `max_drop` and that is no accident: the interval
of the paired difference excludes 0, and so does the exact test where few documents differ. For a metric of which less
is better, a rise counts as the drop.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from rageval.comparison.measurements import RunTables
from rageval.comparison.paired_values import PairedValues, UncomparedMetric, side_by_side
from rageval.comparison.pairing import Choice, Pair
from rageval.comparison.run_comparison import difference_of, incomplete, nothing_comparable, unfit
from rageval.errors import ConfigError, DataError
from rageval.metrics.catalogue import headline, higher_is_better
from rageval.metrics.metric import ScoreMetric
from rageval.runs.manifest import Manifest
from rageval.statistics.paired import PairedDifference, paired_difference
from rageval.statistics.verdicts import FEWEST_CLUSTERS, SIGNIFICANT

MORE_MISSING: Final = 0.02
"""Share of questions by which a candidate may lack more values than its baseline, or more within the noise."""

Outcome = Literal["passed", "worse", "too few questions", "values missing", "unfit judge", "not comparable"]


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """What the gate says about one metric of one system or retriever."""

    metric: str
    pair: Pair | None
    """None where the metric could not be compared."""
    mean_a: float | None = None
    """Mean of the baseline over the questions where both have a value."""
    mean_b: float | None = None
    difference: PairedDifference | None = None
    """Candidate - baseline, with the gate's joint interval."""
    n: int = 0
    outcome: Outcome
    reason: str
    """A sentence."""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What the gate says about a run."""

    a: str
    """Name of the baseline."""
    b: str
    """Name of the candidate."""
    max_drop: float
    confidence: float
    """Of each interval, so that all of them hold together with 95 %."""
    rows: Sequence[GateDecision]
    reasons: Sequence[str]
    """Why it fails, in sentences; empty if it passes."""
    left_behind: str | None = None
    """How the questions of the runs differ, where only common ones are compared."""

    @property
    def passed(self) -> bool:
        """Whether the candidate passes."""
        return not self.reasons


def check_choice(choice: Choice, max_drop: float) -> Choice:
    """Return the choice with its metrics, the first one of the headline without any.

    Raises:
        ConfigError: If `max_drop` is not above 0, or a metric has no good direction.
    """
    if not 0 < max_drop < float("inf"):
        raise ConfigError(f"--max-drop is {max_drop:g}; give the largest drop that may pass, above 0, such as 0.02")
    metrics = choice.metrics or tuple(headline(ScoreMetric)[:1])
    for name in metrics:
        if higher_is_better(name) is None:
            raise ConfigError(
                f"--metric {name}: neither more nor less of it is better, or it is not known; name another"
            )
    return replace(choice, metrics=metrics)


def gate_runs(
    a: RunTables,
    b: RunTables,
    choice: Choice,
    *,
    max_drop: float,
    allow_underpowered: bool = False,
    common: bool = False,
) -> Gate:
    r"""Return whether the candidate, run B, may follow the baseline, run A.

    With m pairs of metric and system or retriever in the gate, and d = B - A turned so that more is better:

    - `worse`: d < -max_drop, the interval of d at the confidence 1 - 0.05 / m lies below 0, and p < 0.05 / m. If A and
      B are alike, the chance of one such false alarm among all m is below 2.5 %.
    - `values missing`: B has no value for more questions than A, by more than `MORE_MISSING` and with p < 0.05 / m.
    - `too few questions`: fewer than 10 documents; or the smallest difference that this question set shows is larger
      than `max_drop`, and the interval does not rule out a drop of `max_drop` either. Passes with
      `allow_underpowered`.
    - `unfit judge`: the judge contradicts itself, or the human labels, more than `judge.minimum_kappa` allows.
    - `not comparable`: see `not_comparable`; also a metric that a run does not have.
    - `passed` otherwise.

    Args:
        a: The baseline.
        b: The candidate.
        choice: As from `check_choice`.
        max_drop: The largest drop of a mean that may pass, in the metric's unit, above 0.
        allow_underpowered: Let pass what could not have been seen.
        common: Compare the questions that both runs have, though one has others, too.

    Raises:
        ConfigError: If a named system or retriever is not in its run.
    """
    if reasons := unfinished({run.name: run.manifest for run in (a, b)}):
        return refused_gate(a.name, b.name, max_drop, reasons)
    try:
        found = side_by_side(a, b, choice, common=common)
    except DataError as error:
        return refused_gate(a.name, b.name, max_drop, [str(error)])
    if not found.paired and not found.refused:
        return refused_gate(a.name, b.name, max_drop, [nothing_comparable(a, b, found)])
    joint = SIGNIFICANT / max(1, len(found.paired))
    unusable = unfit(a, b)
    rows = [
        _gated(values, joint, max_drop, unusable.get(values.metric), allow_underpowered=allow_underpowered)
        for values in found.paired
    ]
    rows += [_refused(refused) for refused in found.refused]
    reasons = [row.reason for row in rows if row.outcome != "passed"]
    return Gate(
        a=a.name, b=b.name, max_drop=max_drop, confidence=1 - joint, rows=rows, reasons=reasons,
        left_behind=found.left_behind,
    )  # fmt: skip


def refused_gate(a: str, b: str, max_drop: float, reasons: Sequence[str]) -> Gate:
    """Return a gate that fails before any metric is looked at."""
    return Gate(a=a, b=b, max_drop=max_drop, confidence=1 - SIGNIFICANT, rows=(), reasons=reasons)


def unfinished(runs: Mapping[str, Manifest]) -> list[str]:
    """Return a reason for each run that is not complete, by name and manifest: it cannot pass, nor be a baseline."""
    return [
        f"{reason}; go on with it until it is complete"
        for name, manifest in runs.items()
        if (reason := incomplete(name, manifest))
    ]


def _refused(refused: UncomparedMetric) -> GateDecision:
    of = f" of {refused.name}" if refused.name else ""
    return GateDecision(
        metric=refused.metric, pair=None, outcome="not comparable", reason=f"{refused.metric}{of}: {refused.reason}"
    )


def _gated(
    values: PairedValues, joint: float, max_drop: float, unfit_in: str | None, *, allow_underpowered: bool
) -> GateDecision:
    both = values.both
    difference = difference_of(values, 1 - joint)
    outcome, reason = (
        _unfit(values, unfit_in)
        or _missing(values, joint)
        or _worse(values, difference, joint, max_drop)
        or (None if allow_underpowered else _underpowered(values, difference, max_drop))
        or ("passed", f"{_name(values)} passed")
    )
    return GateDecision(
        metric=values.metric,
        pair=values.pair,
        mean_a=float(values.a[both].mean()) if both.any() else None,
        mean_b=float(values.b[both].mean()) if both.any() else None,
        difference=difference,
        n=int(both.sum()),
        outcome=outcome,
        reason=reason,
    )


def _unfit(values: PairedValues, unfit_in: str | None) -> tuple[Outcome, str] | None:
    if unfit_in is None:
        return None
    return "unfit judge", (
        f"{_name(values)} has a judge that is unfit in {unfit_in} (see judge.minimum_kappa); gate by another metric, "
        "or name another judge"
    )


def _missing(values: PairedValues, joint: float) -> tuple[Outcome, str] | None:
    n = len(values.question_ids)
    if values.left_out_b - values.left_out_a <= MORE_MISSING * n:
        return None
    gone = paired_difference(np.isnan(values.b).astype(float), np.isnan(values.a).astype(float), values.clusters)
    if gone is not None and gone.p_value >= joint:
        return None
    return "values missing", (
        f"{_name(values)} has no value for {values.left_out_b:,} of {n:,} questions, the baseline for "
        f"{values.left_out_a:,}: what is missing may be what has got worse. See the failures in the candidate's report"
    )


def _worse(
    values: PairedValues, difference: PairedDifference | None, joint: float, max_drop: float
) -> tuple[Outcome, str] | None:
    if difference is None or difference.clusters < FEWEST_CLUSTERS:
        return None
    mean, _, high = _oriented(values.metric, difference)
    if not (mean < -max_drop and high < 0 and difference.p_value < joint):
        return None
    return "worse", (
        f"{_name(values)} got worse by {-mean:.3f}, more than {max_drop:g}, and beyond the noise "
        f"(candidate - baseline {difference.mean:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}])"
    )


def _underpowered(
    values: PairedValues, difference: PairedDifference | None, max_drop: float
) -> tuple[Outcome, str] | None:
    if difference is None or difference.clusters < FEWEST_CLUSTERS:
        return "too few questions", (
            f"{_name(values)} has values for questions of fewer than {FEWEST_CLUSTERS} documents: nothing can be said; "
            "ask more questions"
        )
    low, smallest = _oriented(values.metric, difference)[1], difference.smallest_detectable
    if smallest <= max_drop or low >= -max_drop:
        return None
    needed = difference.n * (smallest / max_drop) ** 2
    return "too few questions", (
        f"{_name(values)} could hide a drop of {max_drop:g}: {difference.n:,} questions show one of {smallest:.3f} or "
        f"more. Ask about {_rounded(needed):,}, raise --max-drop, or accept it with --allow-underpowered"
    )


def _oriented(metric: str, difference: PairedDifference) -> tuple[float, float, float]:
    """Return mean, low and high of candidate - baseline, turned so that more is better."""
    if higher_is_better(metric):
        return difference.mean, difference.low, difference.high
    return -difference.mean, -difference.high, -difference.low


def _name(values: PairedValues) -> str:
    return f"{values.metric} of {values.pair.name}"


def _rounded(n: float) -> int:
    """Return a number of questions with two digits that mean something."""
    return int(float(f"{n:.1e}"))
