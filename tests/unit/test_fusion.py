"""Reciprocal rank fusion: sums derived by hand, and laws that hold for all lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.search.fusion import reciprocal_rank_fusion

RANKINGS = st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=10), max_size=4)


def fused(*rankings: str, k: int = 60) -> list[tuple[str, float]]:
    return [(hit.document_id, hit.score) for hit in reciprocal_rank_fusion(rankings, k)]


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    # a: 1/61 + 1/63, b: 1/62 + 1/61, c: 1/63, d: 1/62; b beats a because 1/62 > 1/63.
    expected = [("b", 1 / 62 + 1 / 61), ("a", 1 / 61 + 1 / 63), ("d", 1 / 62), ("c", 1 / 63)]
    assert [name for name, _ in fused("abc", "bda")] == ["b", "a", "d", "c"]
    assert [score for _, score in fused("abc", "bda")] == pytest.approx([score for _, score in expected])


def test_a_repetition_counts_once_and_takes_no_rank() -> None:
    assert fused("aaab", k=0) == [("a", 1.0), ("b", 0.5)]


def test_equal_scores_are_ordered_by_best_rank_and_then_by_id() -> None:
    assert [name for name, _ in fused("zy", "ab")] == ["a", "z", "b", "y"]
    # k=2: x has 1/3 by rank 1; y has 1/6 + 1/6 = 1/3 by rank 4 twice, although its id would come first.
    assert [name for name, _ in fused("xefa", "ghia", k=2)][:3] == ["g", "x", "a"]


def test_a_negative_k_is_refused() -> None:
    with pytest.raises(ValueError, match="found -1"):
        reciprocal_rank_fusion([], k=-1)


@given(RANKINGS, st.integers(0, 100))
def test_the_order_of_the_lists_does_not_matter(rankings: list[list[str]], k: int) -> None:
    hits = reciprocal_rank_fusion(rankings, k)
    assert hits == reciprocal_rank_fusion(rankings[::-1], k)
    assert {hit.document_id for hit in hits} == {name for ranking in rankings for name in ranking}
    assert all(0 < hit.score <= len(rankings) / (k + 1) + 1e-12 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@given(st.lists(st.sampled_from("abcdefgh"), unique=True))
def test_one_list_keeps_its_order(ranking: list[str]) -> None:
    assert [hit.document_id for hit in reciprocal_rank_fusion([ranking])] == ranking
