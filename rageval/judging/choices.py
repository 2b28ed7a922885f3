"""A choice between two answers -> the names of its two scores, and their values.

Every pair is shown to the judge in both orders. Both scores stand under the first system of the pair, in the order of
the configuration, and say how its answer fared.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from rageval.judging.prompts import PreferenceLabel
from rageval.metrics.names import PAIRWISE, detail_of

_SWAPPED: Final = ", swapped"

_T = TypeVar("_T")


def preference_metrics(other: str) -> tuple[str, str]:
    """Return the names of the choices against the other system: with the own answer shown first, and second."""
    return detail_of(PAIRWISE, other), detail_of(PAIRWISE, f"{other}{_SWAPPED}")


def preference_value(label: PreferenceLabel, *, swapped: bool) -> float:
    """Return 1 if the own answer was preferred, 0 if the other one was, 0.5 for a tie.

    Args:
        label: Which position the judge chose.
        swapped: Whether the own answer was shown second.
    """
    if label == "TIE":
        return 0.5
    return float((label == "FIRST") is not swapped)


def rivals(systems: Sequence[_T]) -> list[tuple[_T, list[_T]]]:
    """Return each system with those after it, so that every pair stands under the first of its two systems."""
    return [(system, list(systems[rank:])) for rank, system in enumerate(systems[:-1], start=1)]
