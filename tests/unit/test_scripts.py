"""How scripts without spaces are cut, and that texts in other scripts are left alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.text.scripts import is_mostly_latin, searchable


def pairs(text: str) -> list[str]:
    """The pairs that a text was cut into, read back from the words that stand for them."""
    codes = (re.fullmatch(r"q([0-9a-f]+)q", word) for word in searchable(text).split())
    return ["".join(chr(int(code[1][at : at + 4], 16)) for at in range(0, len(code[1]), 4)) for code in codes if code]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("作業を出す", ["作業", "業を", "を出", "出す"]),
        ("첫 과제", ["첫", "과제"]),
        ("水。火山", ["水", "火山"]),
        ("คืนเงิน", ["คืน", "นเ", "เงิ", "งิน"]),  # a vowel sign above belongs to its consonant
        ("ສົ່ງ", ["ສົ່ງ"]),  # two letters, and the first has two marks
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", ["한글"]),  # the same syllables, decomposed
        ("ｶﾞｲﾄﾞ", ["ガイ", "イド"]),  # and narrow kana, whose voicing marks are characters of their own
    ],
)
def test_a_run_of_characters_is_cut_into_its_pairs(text: str, expected: list[str]) -> None:
    assert pairs(text) == expected


def test_the_words_beside_a_run_stay_words() -> None:
    words = searchable("用Ｇｉｔ提交 v2.1吗").split()
    assert [word for word in words if not word.startswith("q")] == ["Git", "v2.1"]
    assert pairs("用Git提交 v2.1吗") == ["用", "提交", "吗"]


@given(st.text(st.characters(max_codepoint=0x0DFF)))
def test_texts_in_scripts_with_spaces_stay_as_they_are(text: str) -> None:
    assert searchable(text) == text


@given(st.text(st.sampled_from("กิน้้้้้้้ງົ່水本한𠀀 a")))
def test_no_word_is_longer_than_a_search_engine_reads(text: str) -> None:
    assert all(len(word) < 40 for word in searchable(text).split() if word.startswith("q"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Größe: 5", True),
        ("", True),
        ("42 ?!", True),
        ("用 Docker Compose", True),
        ("请用 Git", False),
        ("Да, ok", True),
    ],
)
def test_a_text_is_mostly_latin_where_half_of_its_letters_are(text: str, expected: bool) -> None:
    assert is_mostly_latin(text) is expected
