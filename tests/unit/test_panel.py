"""The label that counts for a panel of judges."""

from itertools import permutations

import pytest

from rageval.judging.panel import majority_label
from rageval.metrics.correctness import ANSWER_LABELS

R, P, N = ANSWER_LABELS


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], None),
        ([P], P),
        ([R, R, N], R),
        ([N, N, R], N),
        ([R, P, N], P),  # no majority: the middle one
        ([R, N], N),  # a split panel: the lower of the two in the middle
        ([R, P], P),
        ([R, R, N, N], N),
        ([R, R, P, N], P),  # two of four are not more than half
        ([R, R, R, N], R),
        ([R, R, P, N, N], P),
        ([R, R, R, N, N], R),
    ],
)
def test_more_than_half_decides_or_else_the_lower_median(labels: list[str], expected: str | None) -> None:
    assert {majority_label(order, ANSWER_LABELS) for order in permutations(labels)} == {expected}


def test_a_label_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        majority_label([R, "MAYBE"], ANSWER_LABELS)
