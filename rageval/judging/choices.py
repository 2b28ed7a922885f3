"""A choice between two answers -> the names of its two scores.

Every pair is shown to the judge in both orders. Both scores stand under the first system of the pair, in the order of
the configuration, and say how its answer fared.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from rageval.metrics.names import detail_of
from rageval.metrics.pairwise import PAIRWISE

_SWAPPED: Final = ", swapped"

_T = TypeVar("_T")


def preference_metrics(other: str) -> tuple[str, str]:
    """Return the names of the choices against the other system: with the own answer shown first, and second."""
    return detail_of(PAIRWISE.name, other), detail_of(PAIRWISE.name, f"{other}{_SWAPPED}")


def rivals(systems: Sequence[_T]) -> list[tuple[_T, list[_T]]]:
    """Return each system with those after it, so that every pair stands under the first of its two systems."""
    return [(system, list(systems[rank:])) for rank, system in enumerate(systems[:-1], start=1)]
