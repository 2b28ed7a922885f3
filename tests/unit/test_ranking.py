"""Hit rate and reciprocal rank: by hand, and against ranx."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.metrics.ranking import first_relevant_rank, hit, reciprocal_rank


def test_the_first_right_document_counts() -> None:
    assert first_relevant_rank(["a", "b", "c"], {"c", "b"}) == 2
    assert first_relevant_rank(["a", "b"], {"z"}) is None
    assert first_relevant_rank([], {"a"}) is None
    assert first_relevant_rank(["a"], set()) is None


def test_a_repeated_document_takes_one_rank() -> None:
    assert first_relevant_rank(["a", "a", "b", "a", "c"], ["c"]) == 3


@pytest.mark.parametrize(
    ("rank", "k", "expected_hit", "expected_reciprocal"),
    [(1, 1, 1.0, 1.0), (2, 1, 0.0, 0.0), (4, 5, 1.0, 0.25), (5, 5, 1.0, 0.2), (6, 5, 0.0, 0.0), (None, 5, 0.0, 0.0)],
)
def test_only_ranks_up_to_k_count(rank: int | None, k: int, expected_hit: float, expected_reciprocal: float) -> None:
    assert hit(rank, k) == expected_hit
    assert reciprocal_rank(rank, k) == expected_reciprocal


@pytest.mark.parametrize("metric", [hit, reciprocal_rank])
def test_ranks_and_cut_offs_below_one_are_refused(metric: type) -> None:
    with pytest.raises(ValueError, match="k must be 1 or more, found 0"):
        metric(1, 0)
    with pytest.raises(ValueError, match="ranks count from 1, found 0"):
        metric(0, 5)


@given(st.none() | st.integers(1, 50), st.integers(1, 50))
def test_a_deeper_cut_off_never_lowers_a_value(rank: int | None, k: int) -> None:
    assert 0 <= reciprocal_rank(rank, k) <= hit(rank, k) <= 1
    for metric in (hit, reciprocal_rank):
        assert metric(rank, k) <= metric(rank, k + 1)


def test_means_agree_with_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's own
        # Compiling takes a minute, interpreting no time.
        monkeypatch.setattr("numba.config.DISABLE_JIT", True)
        from ranx import Qrels, Run, evaluate

        rng = np.random.default_rng(0)
        found = {f"q{n}": [f"d{i}" for i in rng.permutation(12)[: rng.integers(1, 9)]] for n in range(40)}
        right = {question: {f"d{i}" for i in rng.integers(0, 12, 2)} for question in found}
        run = Run({question: {d: 1 / (i + 1) for i, d in enumerate(docs)} for question, docs in found.items()})
        qrels = Qrels({question: dict.fromkeys(docs, 1) for question, docs in right.items()})
        theirs = evaluate(qrels, run, ["hit_rate@3", "mrr@3"])
    ranks = [first_relevant_rank(found[question], right[question]) for question in found]
    assert np.mean([hit(rank, 3) for rank in ranks]) == pytest.approx(theirs["hit_rate@3"])
    assert np.mean([reciprocal_rank(rank, 3) for rank in ranks]) == pytest.approx(theirs["mrr@3"])
    assert 0 < theirs["mrr@3"] < theirs["hit_rate@3"] < 1
