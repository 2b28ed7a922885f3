"""Columns of answers and references -> a number for each pair; 100,000 answers take a few seconds."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from rageval.metrics.metric import Array

_T = TypeVar("_T")


def compare_pairs(
    compare: Callable[[_T, _T], float], prepare: Callable[[str], _T], answers: Sequence[str], references: Sequence[str]
) -> Array:
    """Return what `compare` says of each prepared pair; one reference belongs to many answers, and is prepared once.

    Raises:
        ValueError: If the lengths differ.
    """
    if len(answers) != len(references):
        raise ValueError(f"expected a reference for each answer, got {len(references)} for {len(answers)} answers")
    prepared: Mapping[str, _T] = {text: prepare(text) for text in set(references)}
    return np.array(
        [compare(prepare(a), prepared[r]) for a, r in zip(answers, references, strict=True)], dtype=np.float64
    )
