"""Findings about questions: several right documents, copied words, references that answer nothing, far ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.audit.ambiguity import several_documents
from rageval.audit.answerability import far_questions, is_placeholder, placeholder_questions, poor_references
from rageval.audit.leakage import copied_questions, copying
from rageval.audit.neighbours import Closeness
from rageval.audit.words import same_question_key, words
from tests.unit.test_audit_documents import document, question


def test_words_are_runs_of_letters_and_digits_and_single_characters_of_chinese() -> None:
    assert words("Can't I run `pip3 install`?") == ["can", "t", "i", "run", "pip3", "install"]
    assert words("课程 begins") == ["课", "程", "begins"]
    assert words("…!?") == []
    assert same_question_key("  How do I\tstart ?") == same_question_key("how DO i start") == "how do i start"


def test_a_question_that_stands_with_several_documents_says_what_they_are() -> None:
    documents = {d.document_id: d for d in (document("1", title="A"), document("2", text="y"), document("3"))}
    asked = [question("Why so?", "1"), question("Why so?", "2"), question("question1", "1"), question("question1", "2")]
    asked += [question("Alone?", "1")]
    vectors = {"1": np.array([1.0, 0.0]), "2": np.array([0.6, 0.8])}
    real, placeholder = several_documents(asked, documents, vectors, 0.95)
    assert real.document_ids == ("1", "2")
    assert real.question_ids == (asked[0].question_id, asked[1].question_id)
    # (1, 0) and (0.6, 0.8) have the cosine 0.6.
    assert "no duplicates of each other (cosine 0.60 to 0.60)" in real.what
    assert '1 ("A")' in real.what
    assert "accept_alternates" in real.fix
    assert "It is a placeholder" in placeholder.what
    assert "Remove these rows" in placeholder.fix


def test_several_documents_that_are_duplicates_are_called_so() -> None:
    documents = {d.document_id: d for d in (document("1", title="A"), document("2", title="B"))}
    (same,) = several_documents([question("Why so?", "1"), question("Why so?", "2")], documents, {}, 0.95)
    assert "They have the same text." in same.what
    assert "Merge" in same.fix


def test_copying_counts_word_triples_and_the_longest_run() -> None:
    # Words: how do i install the driver on linux (8), triples 6. In the text: "install the driver", "the driver on".
    found = copying("How do I install the driver on Linux?", "Drivers", "First install the driver, on Windows too.")
    assert found.words == 8
    assert found.share == pytest.approx(2 / 6)
    assert found.longest_run == 4
    assert not found.is_copied
    # All five triples of seven words, and a run of seven.
    assert copying("where do i find the install guide", "Where do I find the install guide?", "Here.").is_copied
    # No run reaches from the document's question into its text.
    assert copying("a b c d e f", "a b c", "d e f").longest_run == 3
    short = copying("Install driver", "Install driver", "")
    assert (short.share, short.is_copied) == (None, False)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_the_longest_run_is_that_of_a_plain_search(asked: list[str], part: list[str]) -> None:
    runs = [asked[i:j] for i in range(len(asked)) for j in range(i + 1, len(asked) + 1)]
    there = [part[i:j] for i in range(len(part)) for j in range(i + 1, len(part) + 1)]
    expected = max((len(run) for run in runs if run in there), default=0)
    assert copying(" ".join(asked), " ".join(part), "").longest_run == expected


def test_a_filter_value_whose_questions_often_copy_is_named() -> None:
    documents = {"1": document("1", title="Where do I find the install guide?")}
    copied = question("where do i find the install guide", "1")
    plain = [question(f"Something else entirely, number {n}", "1") for n in range(8)]
    # 1 of 9 is more than a tenth; 1 of 10 is not.
    assert [found.kind for found in copied_questions([copied, *plain], documents)] == ["copied_words", "copied_often"]
    more = [copied, *plain, question("One more that is all different", "1")]
    assert [found.kind for found in copied_questions(more, documents)] == ["copied_words"]


def test_placeholders_are_questions_of_at_most_one_word() -> None:
    assert all(map(is_placeholder, ("questions", "question1", "1", "?!")))
    assert not any(map(is_placeholder, ("Which port?", "课程什么时候开始")))
    found = list(
        placeholder_questions([question("questions", "1"), question("questions", "2"), question("Why so", "1")])
    )
    assert [finding.document_ids for finding in found] == [("1",), ("2",)]
    assert "1 other row has" in found[0].what


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("TODO", "tiny_reference"),
        ("(Tyler Simpson)", "tiny_reference"),
        ("https://example.org/a/long/address", "pointing_reference"),
        ("Here: https://example.org", "pointing_reference"),
        ("See the answer here.", "pointing_reference"),
        ("Yes, it's possible. See the previous answer.", "pointing_reference"),
        ("Yes, until Monday evening.", None),
        ("Run `make install` and read the last lines, then see below for what each of them means to you.", None),
        ("Install it from https://example.org and put the folder on your PATH.", None),
    ],
)
def test_references_that_hold_no_answer(text: str, kind: str | None) -> None:
    found = list(poor_references([document("1", text=text)], [question("Why so?", "1")]))
    assert [finding.kind for finding in found] == ([kind] if kind else [])
    assert list(poor_references([document("1", text=text)], [])) == []


def test_far_questions_are_beyond_the_rank_or_among_the_lowest_hundredth() -> None:
    asked = [question(f"Why is number {n}?", "1") for n in range(200)]
    cosines, ranks = np.full(200, 0.5), np.ones(200, np.int64)
    cosines[3], ranks[3] = 0.4, 21  # beyond 20
    cosines[4], ranks[4] = 0.4, 20
    cosines[5], ranks[5] = 0.1, 2  # the lowest cosine, and another document is closer
    cosines[6], ranks[6] = 0.1, 1  # as low, but nothing is closer
    close = Closeness(cosines=cosines, ranks=ranks, nearest=np.zeros(200, np.int64))
    found = list(far_questions(asked, [document("1")], close))
    assert [(f.question, f.severity) for f in found] == [
        ("Why is number 3?", "warning"), ("Why is number 5?", "note"),
    ]  # fmt: skip
