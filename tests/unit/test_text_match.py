"""Overlap of words and characters, against hand-derived values and the packages that the field uses."""

import sys

import absl.logging
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz
from rouge_score.rouge_scorer import RougeScorer

from rageval.metrics.answer_words import answer_words
from rageval.metrics.exact_match import exact_match
from rageval.metrics.fuzzy_match import fuzzy_match
from rageval.metrics.rouge_l import rouge_l, words_of

# The logger of `rouge_score` closes its stream when logging is set up anew: not the one that pytest captures with.
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)
ROUGE = RougeScorer(["rougeL"], use_stemmer=False)
ASCII = st.text(st.characters(codec="ascii"), max_size=60)
WORDS = ("the", "course", "The", "starts", "on", "Monday,", "at", "17:00", "o'clock;", "don't", "be", "late!")
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=15)


@given(st.one_of(ASCII, SENTENCES.map(" ".join)), st.one_of(ASCII, SENTENCES.map(" ".join)))
def test_rouge_l_is_that_of_rouge_score_on_ascii_texts(answer: str, reference: str) -> None:
    expected = ROUGE.score(reference, answer)["rougeL"].fmeasure
    assert rouge_l([answer], [reference])[0] == pytest.approx(expected, abs=1e-9)


def test_rouge_l_by_hand() -> None:
    # Words: the cat sat on the mat (6) and the mat sat (3). Longest common subsequence: the, sat, or the, mat: 2.
    # 2 x 2 / (6 + 3) = 4/9.
    assert rouge_l(["The cat sat on the mat."], ["the mat sat"]).tolist() == [pytest.approx(4 / 9)]
    assert rouge_l(["same words"], ["Same words!"]).tolist() == [1.0]
    assert rouge_l(["", "?!", "a"], ["a", "a", ""]).tolist() == [0.0, 0.0, 0.0]


def test_words_of_other_scripts_count_and_accents_are_composed() -> None:
    assert words_of("Καλημέρα κόσμε, snake_case 42") == ["καλημέρα", "κόσμε", "snake", "case", "42"]
    assert words_of("cafe\u0301") == words_of("caf\u00e9") == ["caf\u00e9"]
    assert rouge_l(["Καλημέρα κόσμε"], ["καλημέρα"]).tolist() == [pytest.approx(2 / 3)]


def test_a_character_is_a_word_where_a_script_has_no_spaces() -> None:
    assert words_of("用Git提交！第3周") == ["用", "git", "提", "交", "第", "3", "周"]
    assert words_of("คืนเงิน") == ["คื", "น", "เ", "งิ", "น"]  # a vowel sign above belongs to its letter
    # 3 and 4 characters; the longest common subsequence is 提交: 2 x 2 / (3 + 4).
    assert rouge_l(["请提交。"], ["提交作业"]).tolist() == [pytest.approx(4 / 7)]
    assert answer_words(["用 Git 提交。", "คืนเงิน", "한국어 답변입니다."]).tolist() == [5, 5, 2]


def test_vowel_signs_and_viramas_do_not_cut_a_word() -> None:
    assert words_of("हिन्दी में उत्तर") == ["हिन्दी", "में", "उत्तर"]


@pytest.mark.parametrize(
    ("answer", "reference", "value"),
    [
        ("The  Monday.", "monday", 1.0),
        ("A cat, an owl", "cat owl", 1.0),
        ("don't", "dont", 1.0),
        ("Monday", "Mondays", 0.0),
        ("on Monday", "Monday", 0.0),
        ("then", "n", 0.0),  # articles are words, not letters
        ("the", "?", 1.0),  # nothing is left of either
        ("", "Monday", 0.0),
        ("用 Git 提交。", "用Git提交", 1.0),  # spaces beside a Chinese character mean nothing, nor does its full stop
        ("“Monday”…", "Monday", 1.0),
        ("월요일", "화요일", 0.0),
    ],
)
def test_exact_match_ignores_case_punctuation_articles_and_spacing(answer: str, reference: str, value: float) -> None:
    assert exact_match([answer], [reference]).tolist() == [value]


def test_fuzzy_match_by_hand() -> None:
    # abcd and abxd share a, b, d in this order: 2 x 3 / 8.
    assert fuzzy_match(["ABCD"], ["abxd"]).tolist() == [0.75]
    assert fuzzy_match(["", "", "a  b\n"], ["", "a", "A b"]).tolist() == [1.0, 0.0, 1.0]


@given(st.text(max_size=30), st.text(max_size=30))
def test_fuzzy_match_is_symmetric_and_in_bounds(first: str, second: str) -> None:
    value = fuzzy_match([first], [second])[0]
    assert 0 <= value <= 1
    assert value == fuzzy_match([second], [first])[0]
    assert fuzzy_match([first], [first])[0] == 1


def test_fuzzy_match_is_the_ratio_of_rapidfuzz() -> None:
    assert fuzzy_match(["kitten on the mat"], ["sitting on a mat"])[0] == pytest.approx(
        fuzz.ratio("kitten on the mat", "sitting on a mat") / 100
    )


def test_answer_words_are_parts_between_white_space() -> None:
    assert answer_words(["", " one ", "pip install -U x", "a\u00a0b\nc"]).tolist() == [0, 1, 4, 3]


def test_columns_keep_their_order_and_differing_lengths_are_an_error() -> None:
    answers, references = ["a b", "c", "a b"], ["a b", "a b", "c"]
    assert rouge_l(answers, references).tolist() == [1, 0, 0]
    for metric in (rouge_l, exact_match, fuzzy_match):
        assert metric([], []).shape == (0,)
        assert metric([], []).dtype == np.float64
        with pytest.raises(ValueError, match="expected a reference for each answer, got 1 for 2 answers"):
            metric(["a", "b"], ["a"])
