"""Human labels: what is a label, what is a problem, and what a file to fill in holds."""

import csv
import io
from collections import Counter

import pytest

from rageval.corpus.rows import parse_rows
from rageval.errors import DataError
from rageval.judging.labels import LABEL_COLUMNS, OPTIONAL_COLUMNS, HumanLabel, LabelledRun, check_labels, template_rows
from rageval.text.formulas import safe_cell

ANSWERED = LabelledRun(
    questions=frozenset({"q1", "q2", "q3"}),
    systems=frozenset({"a", "@cf/b"}),
    answers={
        ("q1", "a"): "Use pip install.",
        ("q2", "a"): "=1+1",
        ("q3", "a"): None,
        ("q1", "@cf/b"): "No.",
    },
)


def read(text, answered=ANSWERED):
    return check_labels(parse_rows(text.encode(), "l.csv", LABEL_COLUMNS, OPTIONAL_COLUMNS), answered)


def test_labels_are_read_whatever_their_case():
    found = read("question_id,system,label\nq1,a,RELEVANT\nq2,a, non relevant \n")
    assert found.labels == (
        HumanLabel(question_id="q1", system="a", label="RELEVANT"),
        HumanLabel(question_id="q2", system="a", label="NON_RELEVANT"),
    )
    assert found.problems == found.notes == ()


def test_every_bad_row_is_named_with_its_file_its_line_and_its_reason():
    found = read(
        "question_id,system,label\n"
        "q9,a,RELEVANT\n"
        "q1,gpt,RELEVANT\n"
        "q1,a,GOOD\n"
        "q1,a,RELEVANT\n"
        "q1,a,NON_RELEVANT\n"
        ",,maybe\n"
    )
    assert len(found.labels) == 1
    assert [problem.partition(": ")[0] for problem in found.problems] == [
        *(f"l.csv, line {line}" for line in (2, 3, 4, 6)),
        *["l.csv, line 7"] * 3,
    ]
    assert "q9 is not in the run's questions" in found.problems[0]
    assert "gpt is not one of the run's: @cf/b, a" in found.problems[1]
    assert "GOOD, expected one of RELEVANT, PARTLY_RELEVANT, NON_RELEVANT" in found.problems[2]
    assert "the same answer stands at line 5 with RELEVANT: decide on one" in found.problems[3]


def test_rows_not_filled_in_and_answers_that_are_not_there_are_counted_and_left_out():
    found = read("question_id,system,label\nq1,a,\nq3,a,RELEVANT\nq2,a,RELEVANT\nq2,a,RELEVANT\n")
    assert [label.question_id for label in found.labels] == ["q2"]
    assert found.problems == ()
    assert found.notes == (
        "l.csv: 1 rows without a label were left out",
        "l.csv: 1 labels of answers that the run does not have were left out",
    )


def test_a_label_of_another_answer_is_a_problem_and_a_spreadsheets_changes_are_not():
    head = "question_id,system,answer,label\n"
    assert read(f"{head}q1,a,“Use  pip install”,RELEVANT\nq2,a,'=1+1,RELEVANT\n").problems == ()
    found = read(f"{head}q1,a,Use conda.,RELEVANT\n")
    assert "its answer is not the one of this run" in found.problems[0]


def test_a_file_without_the_columns_is_refused():
    with pytest.raises(DataError, match="missing columns: label"):
        read("question_id,system\nq1,a\n")
    with pytest.raises(DataError, match="the separator of a CSV file is the comma"):
        read("question_id;system;label\nq1;a;RELEVANT\n")


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", " =1", "＝1"])
def test_no_cell_is_a_formula(text):
    assert safe_cell(text) == f"'{text}"
    assert safe_cell(f"a{text}") == f"a{text}"


def many(systems, n):
    return LabelledRun(
        questions=frozenset(f"q{i}" for i in range(n)),
        systems=frozenset(systems),
        answers={(f"q{i}", system): f"={i}" for system in systems for i in range(n)},
    )


def test_a_file_to_fill_in_draws_as_many_of_each_system_and_comes_back():
    answered = many(["@cf/b", "a"], 50)
    questions = {f"q{i}": {"question": "-why?", "references": ["+because"]} for i in range(50)}
    rows = template_rows(questions, answered, 31, seed=1)
    assert Counter(row["system"] for row in rows) == {"'@cf/b": 15, "a": 16} or len(rows) == 31
    assert abs(sum(row["system"] == "a" for row in rows) - 15.5) == 0.5
    assert {row["question"] for row in rows} == {"'-why?"}
    assert {row["reference"] for row in rows} == {"'+because"}
    assert all(row["answer"].startswith("'=") and row["label"] == "" for row in rows)
    assert rows == template_rows(questions, answered, 31, seed=1)
    assert {row["question_id"] for row in rows} != {
        row["question_id"] for row in template_rows(questions, answered, 31, seed=2)
    }
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(row | {"label": "RELEVANT"} for row in rows)
    found = read(text.getvalue(), answered)
    assert found.problems == ()
    assert len(found.labels) == 31


def test_a_system_with_few_answers_leaves_its_place_to_the_others():
    answered = many(["a", "b"], 20)
    answers = {key: answer for key, answer in answered.answers.items() if key[1] == "a" or key[0] in ("q1", "q2")}
    few = LabelledRun(questions=answered.questions, systems=answered.systems, answers=answers)
    questions = {f"q{i}": {"question": "why?", "references": []} for i in range(20)}
    rows = template_rows(questions, few, 12, seed=0)
    assert Counter(row["system"] for row in rows) == {"b": 2, "a": 10}
    assert len(template_rows(questions, few, 99, seed=0)) == 22
