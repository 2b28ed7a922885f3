"""Findings about documents and coverage, on a corpus made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from rageval.audit import duplicates, unusable
from rageval.audit.coverage import uneven_coverage
from rageval.audit.findings import KINDS, Finding, grouped, located, ordered
from rageval.audit.neighbours import closeness, near_groups
from rageval.corpus.checks import check_documents, check_questions
from rageval.corpus.rows import Row, RowFile
from rageval.records import Document, Question
from rageval.text.fingerprint import digest, question_id

DOCUMENT_COLUMNS = ("id", "course", "section", "question", "text")


def document(
    key: str, *, course: str = "a", section: str = "s", title: str = "What?", text: str = "It is."
) -> Document:
    return Document(
        document_id=key, title=title, text=text, metadata={"course": course, "section": section},
        content_hash=digest(course, section, title, text),
    )  # fmt: skip


def question(text: str, key: str, *, course: str = "a") -> Question:
    return Question(
        question_id=question_id(text, key),
        question=text,
        filter_value=course,
        relevant_ids=(key,),
        relevant_grades=(1,),
    )


def rows(name: str, columns: tuple[str, ...], *values: tuple[object, ...]) -> RowFile:
    found = [Row(f"line {n}", dict(zip(columns, row, strict=True))) for n, row in enumerate(values, start=2)]
    return RowFile(name=name, columns=columns, rows=found)


def test_an_id_that_stands_twice_is_as_grave_as_its_contents_differ() -> None:
    file = rows(
        "d.csv", DOCUMENT_COLUMNS,
        ("same", "a", "s", "Q", "T"), ("same", "a", "s", "Q", "T"),
        ("longer", "a", "s", "Q2", "T"), ("longer", "a", "s", "Q2", "T\nAdded by X"),
        ("other", "a", "s", "Q3", "T"), ("other", "b", "s", "Q3", "U"),
        ("once", "a", "s", "Q4", "T"),
    )  # fmt: skip
    found = {finding.document_ids[0]: finding for finding in unusable.repeated_ids(file, "course")}
    assert {key: finding.severity for key, finding in found.items()} == {
        "same": "note", "longer": "warning", "other": "error",
    }  # fmt: skip
    assert "'Added by X'" in found["longer"].what
    assert "course, text" in found["other"].what
    assert found["longer"].rows == ("d.csv, line 4", "d.csv, line 5")
    assert found["other"].filter_value is None


def test_identical_documents_and_documents_with_the_same_text_are_told_apart() -> None:
    documents = [
        document("1", title="A", text="x"), document("2", title="A", text="x"),
        document("3", title="B", text="TODO"), document("4", title="C", text=" TODO\n"),
        document("5", course="b", title="D", text="y z"), document("6", course="c", title="E", text="y\nz"),
    ]  # fmt: skip
    assert [finding.document_ids for finding in duplicates.same_documents(documents, "course")] == [("1", "2")]
    same = {finding.document_ids: finding.severity for finding in duplicates.same_texts(documents, "course")}
    # Of different courses no search ever meets both: worth knowing, and no more.
    assert same == {("3", "4"): "warning", ("5", "6"): "note"}


def test_without_a_filter_all_documents_are_compared_and_findings_name_no_value() -> None:
    documents = [document("1", title="A", text="x"), document("2", course="b", title="A", text="x")]
    [found] = duplicates.same_texts(documents)
    assert (found.document_ids, found.severity, found.filter_value) == (("1", "2"), "warning", None)
    questions = [question("q", "1", course="")]
    # Documents of an uncovered group are not named once more.
    assert [(f.kind, f.filter_value, f.document_ids) for f in uneven_coverage(documents, questions)] == [
        ("uncovered_group", None, ("2",)),
    ]  # fmt: skip


def test_documents_with_the_same_title_and_different_texts_are_named() -> None:
    documents = [
        document("1", title="How do I start?", text="x"), document("2", title=" how do  I START", text="y"),
        document("3", course="b", title="How do I start?", text="z"),
    ]  # fmt: skip
    assert [found.document_ids for found in duplicates.same_titles(documents, "course")] == [("1", "2")]


def test_near_duplicates_are_found_within_a_filter_value_and_not_named_twice() -> None:
    documents = [
        document("1", title="A", text="x"), document("2", title="B", text="y"),
        document("3", course="b", title="C", text="z"), document("4", title="D", text="x"),
    ]  # fmt: skip
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    found = list(duplicates.near_duplicates(documents, vectors, 0.95, "course"))
    assert [finding.document_ids for finding in found] == [("1", "2")]
    assert found[0].measure == 1.0
    same_text = [replace(document, text="x") for document in documents]
    assert list(duplicates.near_duplicates(same_text, vectors, 0.95, "course")) == []


@pytest.mark.parametrize("block_rows", [1, 2, 3, 100])
def test_groups_hang_together_by_their_pairs_whatever_the_block(block_rows: int) -> None:
    # Angles 0, 20, 40 and 90 degrees: cos 20 = 0.94 joins neighbours, cos 40 = 0.77 alone would not, cos 50 = 0.64.
    angles = np.radians([0, 90, 20, 40])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    (group,) = near_groups(vectors, 0.9, block_rows=block_rows)
    assert group.members == (0, 2, 3)
    assert group.highest == pytest.approx(np.cos(np.radians(20)))
    assert near_groups(vectors, 0.95, block_rows=block_rows) == []


def test_groups_are_those_of_a_plain_search_over_all_pairs() -> None:
    random = np.random.default_rng(7)
    vectors = random.normal(size=(60, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    reach = {i: {j for j in range(60) if vectors[i] @ vectors[j] >= 0.97} for i in range(60)}
    for _ in range(60):
        reach = {i: set().union(*(reach[j] for j in near)) for i, near in reach.items()}
    expected = sorted({tuple(sorted(near)) for near in reach.values() if len(near) > 1})
    assert [group.members for group in near_groups(vectors, 0.97, block_rows=7)] == expected


def test_closeness_counts_the_documents_that_are_closer_than_the_own_one() -> None:
    documents = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    questions = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    close = closeness(questions, documents, [[1], [2, 0], [2]], block_rows=2)
    # Cosines of the first two questions: 1, 0.8, 0. The second has two right documents, the better one counts.
    assert close.cosines.tolist() == pytest.approx([0.8, 1.0, 1.0])
    assert close.ranks.tolist() == [2, 1, 1]
    assert close.nearest.tolist() == [0, 0, 2]


def test_coverage_names_values_groups_and_documents_without_questions_and_those_with_many() -> None:
    documents = [
        document("1"), document("2"), document("3"), document("4", section="t"), document("5", section="t"),
        document("6", course="b"),
    ]  # fmt: skip
    # Counts 2, 8, 0: the median of those with questions is 5, and 8 is not three times that.
    questions = [question(f"q{n}", "1") for n in range(2)] + [question(f"q{n}", "2") for n in range(8)]
    found = list(uneven_coverage(documents, questions, "course"))
    assert [(finding.kind, finding.filter_value, finding.document_ids) for finding in found] == [
        ("uncovered_group", "a", ("4", "5")),
        ("uncovered_document", "a", ("3",)),
        ("uncovered_filter_value", "b", ()),
    ]
    # Counts 2, 2, 8: the median is 2, and 8 is more than 6 and at least 7.
    more = [*questions, question("x", "3"), question("y", "3")]
    crowded = [finding for finding in uneven_coverage(documents, more, "course") if finding.kind == "crowded_document"]
    assert [(finding.document_ids, finding.measure) for finding in crowded] == [(("2",), 8.0)]


def test_every_row_that_a_run_refuses_has_an_error() -> None:
    documents = rows("d.csv", DOCUMENT_COLUMNS, ("1", "a", "s", "Q", "T"), ("2", "a", "s", "Q", ""))
    truth = rows(
        "q.csv", ("question", "course", "document"),
        ("good?", "a", "1"), ("good?", "a", "1"), (" ", "a", "1"), ("lost?", "a", "9"), ("astray?", "b", "1"),
        ("null?", "a", None),
    )  # fmt: skip
    truth.add_problem("line 99", "has 2 fields where the header has 3")
    checked = check_documents(documents, "course")
    problems = [*checked.problems, *check_questions(truth, checked.known, "course").problems]
    found = [*unusable.bad_questions(truth, checked.known, "course"), *unusable.repeated_rows(truth)]
    found += unusable.other_problems(problems, found)
    errors = {finding.rows[0]: finding.kind for finding in found if finding.severity == "error"}
    assert errors == {
        "q.csv, line 4": "empty_question",
        "q.csv, line 5": "unknown_document",
        "q.csv, line 6": "other_filter_value",
        "d.csv, line 3": "unusable_row",
        "q.csv, line 7": "unusable_row",
        "q.csv, line 99": "unusable_row",
    }
    assert [f.rows for f in found if f.kind == "row_twice"] == [("q.csv, line 2", "q.csv, line 3")]


def test_findings_are_ordered_by_gravity_and_say_where_their_rows_stand() -> None:
    def make(kind: str, severity: str, key: str) -> Finding:
        return Finding(kind=kind, severity=severity, filter_value=None, document_ids=(key,), what="w", fix="f")  # type: ignore[arg-type]  # literal

    found = [make("copied_words", "note", "1"), make("id_twice", "error", "2"), make("same_text", "warning", "1")]
    assert [finding.severity for finding in ordered(found)] == ["error", "warning", "note"]
    assert list(grouped(found)) == ["id_twice", "same_text", "copied_words"]
    assert located(found, {"1": ("d, line 2",)}, {})[0].rows == ("d, line 2",)
    assert all(kind.title and kind.meaning.endswith((".", ":")) for kind in KINDS.values())
