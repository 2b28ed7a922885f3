"""The cleaned copy: only what changes no result, and everything that was done is said."""

from rageval.audit.fixes import fix
from rageval.corpus.rows import RowFile
from tests.unit.test_audit_documents import DOCUMENT_COLUMNS, rows

QUESTIONS = ("question", "course", "document")


def documents() -> RowFile:
    return rows(
        "d.csv", DOCUMENT_COLUMNS,
        ("1", "a", "s", "Q", "T"), ("1", "a", "s", "Q", "T"),  # the same row twice
        ("2", "a", "s", "R", "U"), ("2", "a", "s", "R", "U\nby X"),  # goes on
        ("3", "a", "s", "Q", "T"),  # identical to 1
        ("4", "a", "s", "V", "W"), ("4", "a", "s", "V", "other"),  # a choice
        ("5", "b", "s", "Q", "T"),  # another course
    )  # fmt: skip


def test_rows_are_merged_and_questions_pointed_to_what_is_left() -> None:
    truth = rows(
        "q.csv", QUESTIONS,
        ("why?", "a", "1"), ("why?", "a", "3"), ("how?", "a", "3"), ("how?", "a", "3"), ("who?", "a", "4"),
    )  # fmt: skip
    fixed = fix(documents(), truth)
    assert [(row["id"], row["text"]) for row in fixed.documents] == [
        ("1", "T"), ("2", "U\nby X"), ("4", "W"), ("4", "other"), ("5", "T"),
    ]  # fmt: skip
    assert [(row["question"], row["document"]) for row in fixed.questions] == [
        ("why?", "1"),
        ("how?", "1"),
        ("who?", "4"),
    ]
    assert sum(sentence.startswith("Removed d.csv") for sentence in fixed.done) == 2
    assert sum(sentence.startswith("Merged the document 3") for sentence in fixed.done) == 1
    assert sum(sentence.startswith("Removed q.csv") for sentence in fixed.done) == 2


def test_a_second_fix_finds_nothing_to_do() -> None:
    truth = rows("q.csv", QUESTIONS, ("why?", "a", "1"), ("why?", "a", "3"))
    fixed = fix(documents(), truth)
    again = fix(
        rows("d.csv", DOCUMENT_COLUMNS, *(tuple(row[name] for name in DOCUMENT_COLUMNS) for row in fixed.documents)),
        rows("q.csv", QUESTIONS, *(tuple(row[name] for name in QUESTIONS) for row in fixed.questions)),
    )
    assert again.done == ()
    assert again.documents == fixed.documents


def test_rows_that_a_run_refuses_stay_and_unreadable_ones_are_named() -> None:
    truth = rows("q.csv", (*QUESTIONS, "grade"), ("", "a", "9", "1"), ("x?", "a", "1", "1"), ("x?", "a", "1", "2"))
    truth.add_problem("line 9", "has 2 fields where the header has 3")
    fixed = fix(documents(), truth)
    assert [row["grade"] for row in fixed.questions] == ["1", "1", "2"]
    assert any("line 9" in sentence for sentence in fixed.done)
