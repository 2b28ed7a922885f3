from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.corpus.checks import MAX_FIELD_CHARS, check_documents, check_questions
from rageval.corpus.messages import raise_problems
from rageval.corpus.rows import Row, RowFile
from rageval.corpus.sampling import select_questions
from rageval.errors import ConfigError, DataError
from rageval.records import Question

DOCUMENT = {"id": "d1", "course": "ml", "section": "s", "question": "q", "text": "t"}
BARE = {"id": "d1", "text": "t"}


def rows(*values: dict[str, Any], name: str = "f.jsonl") -> RowFile:
    columns = tuple(dict.fromkeys(key for value in values for key in value))
    return RowFile(
        name=name,
        columns=columns,
        rows=[Row(f"line {number}", value) for number, value in enumerate(values, start=1)],
    )


def truth(*triples: tuple[str, str, str]) -> RowFile:
    return rows(*({"question": q, "course": c, "document": d} for q, c, d in triples), name="truth.csv")


def known(*ids: str, course: str = "ml") -> Any:
    return check_documents(rows(*({**DOCUMENT, "id": i, "course": course} for i in ids)), "course").known


def questions(count: int, course: str = "ml") -> list[Question]:
    return [
        Question(question_id=f"{course}-{number}", question="q", filter_value=course, relevant_ids=("d",))
        for number in range(count)
    ]


def test_identical_documents_are_merged_and_noted():
    checked = check_documents(rows(DOCUMENT, DOCUMENT))
    assert len(checked.documents) == 1
    assert checked.problems == ()
    assert checked.notes == ("1 document stands twice with the same content and was merged: d1",)


def test_many_merged_documents_are_noted_in_the_plural():
    other = {**DOCUMENT, "id": "d2"}
    checked = check_documents(rows(DOCUMENT, other, DOCUMENT, other, other))
    assert checked.notes == ("2 documents stand several times with the same content and were merged: d1, d2",)


def test_different_content_under_one_id_is_a_problem_that_names_both_rows():
    checked = check_documents(rows(DOCUMENT, {**DOCUMENT, "text": "another"}))
    assert checked.problems == (
        "f.jsonl, line 2: id d1 also stands at line 1 with other content: give each its own id",
    )


@pytest.mark.parametrize("texts", [("t", "t\nAdded by X"), ("t\nAdded by X", "t")])
def test_of_two_texts_that_differ_in_their_last_lines_the_longer_is_kept_and_noted(texts):
    checked = check_documents(rows(*({**DOCUMENT, "text": text} for text in texts)))
    assert [document.text for document in checked.documents] == ["t\nAdded by X"]
    assert checked.problems == ()
    assert "d1 (f.jsonl, line 1 and line 2)" in checked.notes[0]
    assert "more lines at the end" in checked.notes[0]


@pytest.mark.parametrize("change", [{"text": "text"}, {"text": "t\nmore", "section": "other"}])
def test_any_other_difference_is_not_a_longer_text(change):
    assert "with other content" in check_documents(rows(DOCUMENT, {**DOCUMENT, **change})).problems[0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"text": " \n"}, "`text` is empty"),
        ({"course": None}, "`course` is null, expected text"),
        ({"section": "half a smile: \ud83d"}, "`section` holds half a character"),
        ({"id": 5}, "`id` is int, expected text: put it in quotes (found 5)"),
        ({"question": "x" * (MAX_FIELD_CHARS + 1)}, "1,000,001 characters, at most 1,000,000 are allowed"),
        ({"text": "half a smile: \ud83d"}, "`text` holds half a character"),
    ],
)
def test_a_bad_value_is_a_problem_with_its_row(change, reason):
    checked = check_documents(rows({**DOCUMENT, "id": "d0"}, {**DOCUMENT, **change}), "course")
    assert len(checked.problems) == 1
    assert checked.problems[0].startswith("f.jsonl, line 2: ")
    assert reason in checked.problems[0]


def test_a_document_needs_an_id_and_a_text_and_na_is_a_text_like_any_other():
    checked = check_documents(rows({**BARE, "text": "NA"}))
    assert (checked.problems, checked.notes) == ((), ())
    (document,) = checked.documents
    assert (document.text, document.title, document.metadata) == ("NA", "", {})


def test_every_other_column_is_metadata_as_text_and_what_has_no_text_is_left_out():
    other = {
        "page": 7.0, "share": 0.25, "draft": False, "day": date(2026, 5, 1), "labels": ["a", "b"], "empty": "",
        "null": None, "gap": float("nan"), "vector": [0.5, 0.25], "group": {"a": 1}, "": "0",
    }  # fmt: skip
    checked = check_documents(rows({**BARE, "title": 2026, **other}))
    assert checked.problems == ()
    (document,) = checked.documents
    assert document.title == "2026"
    assert document.metadata == {
        "page": "7", "share": "0.25", "draft": "false", "day": "2026-05-01", "labels": "a, b",
    }  # fmt: skip
    assert checked.notes == (
        "f.jsonl: columns without a text or a number are left out: empty, null, gap, vector, group",
    )


def test_the_question_of_a_faq_is_a_title_unless_there_is_a_title():
    (faq,) = check_documents(rows(DOCUMENT)).documents
    assert (faq.title, faq.metadata) == ("q", {"course": "ml", "section": "s"})
    (page,) = check_documents(rows({**BARE, "title": "T", "question": "q"})).documents
    assert (page.title, page.metadata) == ("T", {"question": "q"})


def test_a_filter_makes_its_column_one_that_is_needed():
    with pytest.raises(DataError, match="missing columns: course; found id, text; expected id, course, text"):
        check_documents(rows(BARE), "course")
    with pytest.raises(DataError, match="missing columns: course; found question, document; expected"):
        check_questions(rows({"question": "q", "document": "d1"}), known("d1"), "course")


def test_without_a_filter_a_question_needs_its_document_alone_and_other_columns_are_tags():
    file = rows(
        {"question": "q", "document": "d1", "course": "de", "level": 3, "grade": 2, "source": "feedback:x"},
        {"question": "q", "document": "d2", "course": "ml", "level": None, "grade": 1, "source": ""},
    )
    checked = check_questions(file, known("d1", "d2"))
    assert checked.problems == ()
    one, two = checked.questions
    assert (one.filter_value, one.tags, one.relevant_grades) == ("", {"course": "de", "level": "3"}, (2,))
    # No filter keeps them apart, so either document is an alternate of the other.
    assert (one.alternate_ids, two.alternate_ids, two.tags) == (("d2",), ("d1",), {"course": "ml"})


def test_a_key_that_one_row_lacks_is_a_problem_of_the_row():
    short = {key: value for key, value in DOCUMENT.items() if key != "text"}
    checked = check_documents(rows({**DOCUMENT, "id": "d0"}, short))
    assert checked.problems == ("f.jsonl, line 2: `text` is missing",)


def test_a_column_that_every_row_lacks_is_an_error_that_says_what_was_found():
    with pytest.raises(DataError, match=r"missing columns: document; found question, course, doc; expected"):
        check_questions(rows({"question": "q", "course": "ml", "doc": "d1"}), {})


def test_a_file_whose_rows_are_all_unreadable_reports_them():
    file = RowFile(name="f.jsonl", columns=(), problems=["f.jsonl, line 1: not valid JSON"])
    with pytest.raises(DataError, match=r"f.jsonl, line 1: not valid JSON"):
        check_documents(file)


def test_an_unknown_document_and_a_foreign_filter_value_are_problems():
    checked = check_questions(truth(("q", "ml", "nope"), ("q", "de", "d1"), ("q", "ml", "d1")), known("d1"), "course")
    assert checked.problems == (
        "truth.csv, line 1: document nope is not an id in the documents",
        "truth.csv, line 2: course is de, but its document belongs to ml (document d1)",
    )
    assert len(checked.questions) == 1


def test_a_question_is_not_blamed_for_the_bad_row_of_its_document():
    documents = check_documents(rows({**DOCUMENT, "text": ""}))
    assert check_questions(truth(("q", "ml", "d1")), documents.known).problems == ()


def test_identical_questions_are_merged_and_noted():
    checked = check_questions(truth(("q", "ml", "d1"), ("q", "ml", "d1")), known("d1"))
    assert len(checked.questions) == 1
    assert checked.notes == ("1 ground-truth row repeats an earlier row and was merged with it: truth.csv, line 2",)


def test_a_question_with_several_documents_stays_one_row_each_with_alternates():
    checked = check_questions(
        truth(("q", "ml", "d1"), ("q", "ml", "d2"), ("other", "ml", "d2"), ("q", "ml", "d3")),
        known("d1", "d2", "d3"),
        "course",
    )
    assert [q.alternate_ids for q in checked.questions] == [("d2", "d3"), ("d1", "d3"), (), ("d1", "d2")]
    assert checked.notes[0].startswith("1 question stands with several documents (3 rows)")


def test_no_more_than_twenty_problems_are_shown_and_the_others_counted():
    with pytest.raises(DataError) as caught:
        raise_problems([f"problem {number}" for number in range(25)])
    lines = str(caught.value).split("\n  ")
    assert lines[0].startswith("25 problems in the input; correct or remove")
    assert lines[1:] == [*(f"problem {number}" for number in range(20)), "and 5 more"]


def test_rows_with_the_same_thing_wrong_share_a_line():
    bad = [{**DOCUMENT, "id": f"d{number}", "text": number} for number in range(30)] + [{**DOCUMENT, "text": ""}]
    with pytest.raises(DataError) as caught:
        raise_problems(check_documents(rows(*bad)).problems)
    head, numbers, empty = str(caught.value).split("\n  ")
    assert head.startswith("31 problems in the input")
    assert numbers.startswith(
        "f.jsonl, line 1: `text` is int, expected text: put it in quotes (found 0); the same in 29 "
    )
    assert "more rows: line 2, line 3," in numbers
    assert numbers.endswith("line 21 and 9 more")
    assert empty == "f.jsonl, line 31: `text` is empty"


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("n\N{EN DASH}7", "n-7 looks like it, but the one here has U+2013 EN DASH in place of U+002D HYPHEN-MINUS"),
        ("caf\N{CYRILLIC SMALL LETTER IE}", "U+0435 CYRILLIC SMALL LETTER IE in place of U+0065 LATIN SMALL LETTER E"),
        ("Ｎ-7", "U+FF2E FULLWIDTH LATIN CAPITAL LETTER N in place of U+006E LATIN SMALL LETTER N"),
        ("n\N{ZERO WIDTH JOINER}-7", "U+200D ZERO WIDTH JOINER in place of nothing"),
        ("N-7", "n-7 looks like it, but the one here has other upper and lower case letters"),
        ("n  -7", None),
        ("12.0", "12 looks like it, but the one here has U+002E FULL STOP U+0030 DIGIT ZERO in place of nothing"),
        ("4", "004 looks like it, but the one here has nothing in place of U+0030 DIGIT ZERO U+0030 DIGIT ZERO"),
    ],
)
def test_an_id_that_looks_like_another_is_told_apart_by_its_code_points(reference, hint):
    ids = known("n-7", "cafe", "12", "004")
    [problem] = check_questions(truth(("q", "ml", reference)), ids).problems
    assert (hint in problem) if hint else problem.endswith("is not an id in the documents")


def test_a_filter_value_that_looks_like_the_documents_is_told_apart_too():
    [problem] = check_questions(
        truth(("q", "m\N{CYRILLIC SMALL LETTER PALOCHKA}", "d1")), known("d1"), "course"
    ).problems
    assert "they look alike, but the first has U+04CF CYRILLIC SMALL LETTER PALOCHKA in place of U+006C" in problem


def select(items: list[Question], **options: Any) -> tuple[Question, ...]:
    return select_questions(
        items, ["ml", "de"], **{"filter_by": "course", "only": "", "sample": None, "seed": 1, **options}
    )


def test_only_keeps_the_questions_with_its_value():
    assert select(questions(2) + questions(3, "de"), only="de") == tuple(questions(3, "de"))


def test_an_unknown_value_lists_the_known_ones():
    with pytest.raises(
        ConfigError, match=r'`only` is "x", but no document has that course; the documents have: de, ml'
    ):
        select(questions(2), only="x")


def test_a_value_without_questions_is_an_error():
    with pytest.raises(DataError, match=r'no question whose course is "de" \(data.only\); it has questions of: ml'):
        select(questions(2), only="de")


def test_a_sample_larger_than_the_set_says_how_many_there_are():
    with pytest.raises(ConfigError, match=r"data.sample is 3, but there are only 2 questions whose course is ml"):
        select(questions(2), sample=3, only="ml")


@given(seed=st.integers(0, 2**32 - 1), sample=st.integers(1, 30), shuffled=st.permutations(questions(30)))
def test_a_sample_has_its_size_keeps_the_order_and_does_not_depend_on_it(seed, sample, shuffled):
    drawn = select(questions(30), sample=sample, seed=seed)
    assert len(drawn) == sample
    assert list(drawn) == sorted(drawn, key=questions(30).index)
    assert set(select(shuffled, sample=sample, seed=seed)) == set(drawn)


def test_another_seed_draws_another_sample():
    assert select(questions(100), sample=10, seed=1) != select(questions(100), sample=10, seed=2)


def test_a_file_that_grows_changes_the_sample_only_where_new_questions_are_drawn():
    before, after = select(questions(50), sample=20), select(questions(60), sample=20)
    new = set(questions(60)) - set(questions(50))
    assert set(after) - set(before) <= new


def test_content_decides_the_content_hash_and_the_id_does_not():
    one, two = check_documents(rows(DOCUMENT, {**dict(reversed(DOCUMENT.items())), "id": "d2"})).documents
    assert replace(two, document_id="d1") == one
    (moved,) = check_documents(rows({**DOCUMENT, "section": "ml", "course": "s"})).documents
    assert moved.content_hash != one.content_hash
