"""The judge's choices between two systems, in both orders -> who wins how often, and what the order has to do with it.

A choice counts only where both orders agree. Where the judge prefers the answer in the one place, whichever it is, it
contradicts itself: that is a tie, and it is counted apart.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rageval.judging.choices import preference_metrics, rivals
from rageval.metrics.pairwise import PAIRWISE
from rageval.runs.alignment import aligned
from rageval.runs.clusters import clusters
from rageval.statistics.intervals import Interval, mean_interval
from rageval.statistics.multiplicity import holm_of_known
from rageval.statistics.paired import PairedDifference, paired_difference
from rageval.statistics.verdicts import Verdict, verdict

_SHARE: Final = (0.0, 1.0)
_Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PairwiseResult:
    """Two systems, as the judge chose between them."""

    system: str
    other: str
    asked: int
    """Questions of the run."""
    n: int
    """Questions with a choice in both orders: wins, ties and losses add up to it."""
    wins: int
    """Both orders prefer `system`."""
    losses: int
    """Both orders prefer `other`."""
    ties: int
    """All others, the two following kinds among them."""
    contradictory: int
    """One order prefers the one system, the other order the other: the judge chose by the position."""
    half: int
    """One order prefers a system, the other is a tie."""
    win_rate: Interval | None
    """Mean of 1 for a win, 0.5 for a tie, 0 for a loss, clustered by document; None below 2 documents."""
    first_rate: Interval | None
    """The same of the answer that was shown first, over both orders: 0.5 if the place does not matter."""
    p_value: float | None
    """That the win rate differs from one half, after Holm's correction for all pairs; None below 2 documents."""
    verdict: Verdict
    """Whether `system` is better or worse than `other`."""

    @property
    def favours_a_position(self) -> str:
        """`first` or `second` if the interval of `first_rate` leaves out one half, else nothing."""
        rate = self.first_rate
        if rate is None or rate.low <= 0.5 <= rate.high:
            return ""
        return "first" if rate.mean > 0.5 else "second"


def pairwise_results(questions: pa.Table, answers: pa.Table, scores: pa.Table) -> list[PairwiseResult]:
    """Return the result of every pair of systems that was compared.

    The win rate is tested as a paired difference: 1 for the preferred answer's system and 0 for the other's, question
    by question, clustered by document.

    Args:
        questions: Table `tables.QUESTIONS`; gives each question's document.
        answers: Table `tables.ANSWERS`; gives the systems in the order of the configuration.
        scores: Table `tables.SCORES`.
    """
    compared = set(scores["metric"].unique().to_pylist())
    names = [name for name in compared if name.startswith(f"{PAIRWISE.name}[")]
    if not names:
        return []
    chosen = pc.and_(pc.is_in(scores["metric"], pa.array(names)), pc.equal(scores["status"], "ok"))
    frame = scores.select(["question_id", "system", "metric", "value"]).filter(chosen).to_pandas()
    asked = clusters(questions)
    found = []
    for system, other in _pairs(answers):
        metrics = preference_metrics(other)
        if compared.isdisjoint(metrics):
            continue
        rows = frame[frame["system"] == system]
        as_first, as_second = (_aligned(rows[rows["metric"] == metric], asked) for metric in metrics)
        both = np.isfinite(as_first) & np.isfinite(as_second)
        found.append(_result(system, other, len(asked), as_first[both], as_second[both], asked.to_numpy()[both]))
    return _judged(found)


def _pairs(answers: pa.Table) -> Iterator[tuple[str, str]]:
    for system, others in rivals(answers["system"].unique().to_pylist()):
        yield from ((system, other) for other in others)


def _aligned(rows: pd.DataFrame, asked: pd.Series) -> _Values:
    """Return the values in the order of the questions, NaN where there is none."""
    return aligned(rows["question_id"], rows["value"], asked.index)


def _result(
    system: str,
    other: str,
    asked: int,
    as_first: _Values,
    as_second: _Values,
    clusters: NDArray[np.int64],
) -> tuple[PairwiseResult, PairedDifference | None]:
    """Return the result without a verdict yet, and the difference it will be made from."""
    agreed = as_first == as_second
    outcome = np.where(agreed, as_first, 0.5)
    contradictory = int((np.abs(as_first - as_second) == 1).sum())
    difference = paired_difference(outcome, 1 - outcome, clusters)
    wins, losses = int((outcome == 1).sum()), int((outcome == 0).sum())
    result = PairwiseResult(
        system=system,
        other=other,
        asked=asked,
        n=len(outcome),
        wins=wins,
        losses=losses,
        ties=len(outcome) - wins - losses,
        contradictory=contradictory,
        half=int((~agreed).sum()) - contradictory,
        win_rate=mean_interval(outcome, clusters, bounds=_SHARE),
        first_rate=mean_interval((as_first + 1 - as_second) / 2, clusters, bounds=_SHARE),
        p_value=difference.p_value if difference else None,
        verdict="too few questions",
    )
    return result, difference


def _judged(found: Sequence[tuple[PairwiseResult, PairedDifference | None]]) -> list[PairwiseResult]:
    """Return the results with p-values corrected for how many pairs there are, and their verdicts."""
    adjusted = holm_of_known(difference.p_value if difference else None for _, difference in found)
    results = []
    for (result, difference), p_value in zip(found, adjusted, strict=True):
        # Twice the usual: the difference of the two shares is twice as far from 0 as the win rate is from one half.
        words = verdict(difference, 1.0 if p_value is None else p_value, relevant=0.1)
        results.append(replace(result, p_value=p_value, verdict=words))
    return results
