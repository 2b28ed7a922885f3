"""What is right as a text, and passages that hold it, or enough of it."""

import pytest

from rageval.corpus.relevant_text import holds_relevant, shared_tokens

RIGHT = "The course starts in January."  # the, course, starts, in, january: 5 tokens


@pytest.mark.parametrize(
    ("passage", "share"),
    [
        ("FAQ. THE COURSE\n starts in january. Bring a laptop.", 5 / 5),
        ("In January the rooms are cold.", 3 / 5),  # in, january, the
        ("The course is online.", 2 / 5),  # the, course
        ("Bring a laptop.", 0.0),
        ("", 0.0),
    ],
)
def test_a_passage_is_right_if_it_holds_the_text_or_half_of_its_tokens(passage: str, share: float) -> None:
    assert shared_tokens(passage, RIGHT) == share
    assert holds_relevant(passage, RIGHT) == (share >= 0.5)
    assert holds_relevant(passage, RIGHT, min_share=0.4) == (share >= 0.4)
    assert holds_relevant(passage, RIGHT, min_share=1) == (share == 1)


def test_a_token_counts_as_often_as_both_have_it() -> None:
    # no, no, never: of three tokens a passage with one "no" has one, with two it has two.
    assert shared_tokens("No.", "no no never") == 1 / 3
    assert shared_tokens("No, no, no!", "no no never") == 2 / 3


def test_in_scripts_without_spaces_each_character_is_a_token() -> None:
    # 课程一月开始: 6 characters. 一月 has 2 of them, 课程一月 has 4; the whole text is found within a longer one.
    assert shared_tokens("一月", "课程一月开始") == 2 / 6
    assert not holds_relevant("一月", "课程一月开始")
    assert holds_relevant("课程一月", "课程一月开始")
    assert holds_relevant("常见问题:课程一月开始。", "课程一月开始", min_share=1)


def test_accents_that_are_composed_and_those_that_are_not_are_the_same() -> None:
    assert holds_relevant("le cafe\u0301 noir", "Caf\u00e9", min_share=1)
    assert holds_relevant("STRASSE", "Straße", min_share=1)


def test_a_text_without_tokens_is_held_only_as_it_is() -> None:
    assert not holds_relevant("anything", "  ")
    assert not holds_relevant("anything", "?!")
    assert holds_relevant("what?!", "?!")


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="expected more than 0 and at most 1"):
        holds_relevant("a", "a", min_share=share)
