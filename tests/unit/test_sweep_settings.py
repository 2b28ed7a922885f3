"""The grid of a sweep: every distinct setting once, every search once, and no document in both parts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.config.overrides import validate
from rageval.errors import ConfigError
from rageval.records import Question
from rageval.sweep.config import GridConfig, SweepConfig
from rageval.sweep.settings import default_setting, distinct_searches, parts_of, search_settings, short_names

GRID = GridConfig(
    methods=("hybrid", "vector", "text"),
    embedding_models=("a", "b"),
    index_options=("flat", "hnsw"),
    question_boosts=(3.0, 1.5),
    candidates=(100, 50),
)


def question(document_id: str, *others: str) -> Question:
    return Question(question_id=f"q-{document_id}", question="", relevant_ids=(document_id,), alternate_ids=others)


def test_a_setting_that_makes_no_difference_is_not_varied() -> None:
    settings = search_settings(GRID)
    # Text by 2 boosts, vector by 2 models x 2 indexes, hybrid by 2 boosts x 2 models x 2 indexes x 2 candidates.
    assert [sum(s.method == m for s in settings) for m in ("text", "vector", "hybrid")] == [2, 4, 16]
    assert len({s.name for s in settings}) == len(set(settings)) == 22
    # Hybrid search fuses what text and vector search have found: no third kind of search is made.
    searches = distinct_searches(settings)
    assert [s.name for s in searches] == [
        "text, together, boost 3", "text, together, boost 1.5",
        "vector, a, flat", "vector, a, hnsw", "vector, b, flat", "vector, b, hnsw",
    ]  # fmt: skip


def test_the_simplest_setting_stands_first_and_the_first_of_each_list_is_the_default() -> None:
    settings = search_settings(GRID)
    assert settings[0].name == "text, together, boost 3"
    assert settings[6].name == "hybrid, together, boost 3, a, flat, 50 candidates"
    assert default_setting(GRID).name == "hybrid, together, boost 3, a, flat, 100 candidates"
    assert default_setting(GRID) in settings
    for method in ("text", "vector"):
        grid = GRID.model_copy(update={"methods": (method,)})
        assert default_setting(grid) == search_settings(grid)[0]


def test_a_short_name_leaves_out_what_all_settings_share() -> None:
    grid = GridConfig(methods=("vector", "text", "hybrid"), question_boosts=(3.0, 1.0))
    assert list(short_names(search_settings(grid)).values()) == [
        "text, boost 3", "text, boost 1", "vector", "hybrid, boost 3", "hybrid, boost 1",
    ]  # fmt: skip


def test_the_depth_is_that_of_the_deepest_cut_off_or_of_the_candidates() -> None:
    assert GRID.depth == 100
    assert GridConfig(methods=("text",), cutoffs=(5, 1)).depth == 5


@given(st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(0, 30), max_size=2))), st.integers(0, 5))
def test_no_document_is_right_for_questions_of_both_parts(rows: list[tuple[int, list[int]]], seed: int) -> None:
    questions = [question(f"d{own}", *(f"d{other}" for other in others)) for own, others in rows]
    parts = parts_of(questions, share=0.5, seed=seed)
    for number, part in enumerate(parts):
        mine = {questions[number].made_from, *questions[number].alternate_ids}
        for other, theirs in zip(questions, parts, strict=True):
            assert part == theirs or not mine & {other.made_from, *other.alternate_ids}


def test_the_share_of_the_documents_is_about_what_was_asked_for_and_the_seed_divides_otherwise() -> None:
    questions = [question(f"d{n}") for n in range(2000)]
    parts = parts_of(questions, share=0.3, seed=1)
    # Binomial: 600 expected, standard deviation 20.5.
    assert abs(parts.count("tuning") - 600) < 100
    assert parts == parts_of(questions, share=0.3, seed=1)
    assert parts != parts_of(questions, share=0.3, seed=2)
    # New documents move no old one.
    assert parts_of(questions[:10], share=0.3, seed=1) == parts[:10]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": {"question_boosts": [1, 1.0]}}, "question_boosts names a value twice: 1.0, 1.0"),
        ({"grid": {"question_boosts": [0.5]}}, "found a boost of 0.5, but with `combination: together`"),
        ({"grid": {"candidates": [5], "cutoffs": [10]}}, "candidates holds 5, less than the largest of cutoffs, 10"),
        ({"grid": {"methods": []}}, "methods is empty; name at least one, or retrievers of your own"),
        ({"tuning": {"metric": "mrr@7"}}, "tuning.metric is 'mrr@7', expected one of hit_rate@1, hit_rate@3"),
        ({"tuning": {"share": 1}}, "tuning.share: Input should be less than 1"),
        ({"models": []}, "models is not a known setting"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused_before_anything_is_searched(settings: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(SweepConfig, settings)
    assert message in str(caught.value)


def test_candidates_do_not_matter_without_hybrid_search() -> None:
    validate(SweepConfig, {"grid": {"methods": ["text"], "candidates": [1]}})
