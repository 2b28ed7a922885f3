"""Verdicts on relevance and users' thumbs -> how far the judge sees answers as the users do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rageval.metrics.relevance import RELEVANCE
from rageval.statistics.agreement import cohen_kappa, confusion_matrix, percent_agreement
from rageval.statistics.influence import MeanEstimate

_GOOD: Final = "good"
_BAD: Final = "bad"


@dataclass(frozen=True, kw_only=True)
class ThumbsAgreement:
    """How far the judge agrees with users' thumbs."""

    n: int
    """Votes on answers that were judged."""
    agreement: float | None
    """Share of the votes that say what the judge says, in [0, 1]; None without a vote."""
    kappa: MeanEstimate | None
    """Cohen's kappa, in [-1, 1]: 0 is what chance gives; None where judge or users only ever say one thing."""
    up_but_bad: int
    """Thumbs up on answers that the judge does not call relevant."""
    down_but_good: int
    """Thumbs down on answers that it calls relevant."""


def thumbs_agreement(labels: Sequence[str], thumbs: Sequence[int], conversations: Sequence[str]) -> ThumbsAgreement:
    """Return how far verdicts on relevance and thumbs agree; RELEVANT stands for up, every other label for down.

    Users vote on few of the answers, and mostly on those that annoy or please them: the share is of those answers.

    Args:
        labels: The verdict on the answer of each vote.
        thumbs: The vote, 1 or -1.
        conversations: The conversation of each vote; several votes on one are no independent ones.

    Raises:
        ValueError: If the lengths differ.
    """
    judge = [_GOOD if label == RELEVANCE.good else _BAD for label in labels]
    users = [_GOOD if vote > 0 else _BAD for vote in thumbs]
    table = confusion_matrix(judge, users, (_GOOD, _BAD))
    return ThumbsAgreement(
        n=len(judge),
        agreement=percent_agreement(judge, users),
        kappa=cohen_kappa(judge, users, (_GOOD, _BAD), list(conversations)) if judge else None,
        up_but_bad=int(table[1, 0]),
        down_but_good=int(table[0, 1]),
    )
