import math
from typing import Any

import pytest

from rageval.corpus.checks import check_documents, check_questions
from rageval.corpus.grades import read_grade
from rageval.corpus.rows import Row, RowFile, parse_rows

KNOWN: Any = check_documents(
    RowFile(
        name="f",
        columns=("id", "course", "section", "question", "text"),
        rows=[
            Row(f"line {i}", {"id": i, "course": "ml", "section": "", "question": "q", "text": "t"})
            for i in ("d1", "d2", "d3")
        ],
    )
).known


def check(text: str) -> Any:
    return check_questions(
        parse_rows(text.encode(), "truth.csv", ("question", "course", "document"), ("grade",)), KNOWN
    )


@pytest.mark.parametrize("value", [None, "", " ", math.nan, 1, "1", 1.0, "1.0"])
def test_no_grade_is_1(value: Any) -> None:
    assert read_grade(value) == 1


@pytest.mark.parametrize("value", [0, 11, -1, 2.5, "high", True, "nan", math.inf, [1]])
def test_what_is_no_grade_is_none(value: Any) -> None:
    assert read_grade(value) is None


def test_grades_are_kept_and_the_question_is_the_same_with_and_without() -> None:
    graded = check("question,course,document,grade\nq,ml,d1,3\nq,ml,d2,\nq,ml,d3,10\nother,ml,d1,2\n")
    plain = check("question,course,document\nq,ml,d1\nq,ml,d2\nq,ml,d3\nother,ml,d1\n")
    assert graded.problems == ()
    assert [(q.relevant_grades[0], q.alternate_ids, q.alternate_grades) for q in graded.questions] == [
        (3, ("d2", "d3"), (1, 10)),
        (1, ("d1", "d3"), (3, 10)),
        (10, ("d1", "d2"), (3, 1)),
        (2, (), ()),
    ]
    assert [q.question_id for q in graded.questions] == [q.question_id for q in plain.questions]
    assert {(q.relevant_grades[0], q.alternate_grades) for q in plain.questions} == {(1, (1, 1)), (1, ())}
    assert graded.notes == plain.notes  # the column is not an ignored one


def test_a_bad_grade_and_two_grades_of_the_same_row_are_problems() -> None:
    checked = check("question,course,document,grade\nq,ml,d1,0\nq,ml,d2,2\nq,ml,d2,2\nq,ml,d2,3\n")
    assert checked.problems == (
        "truth.csv, line 2: `grade` is 0, expected a whole number from 1 to 10, or nothing for 1",
        "truth.csv, line 5: grade is 3, but the same row stands at line 3 with grade 2: keep one",
    )
    assert checked.notes == ("1 ground-truth row repeats an earlier row and was merged with it: truth.csv, line 4",)
