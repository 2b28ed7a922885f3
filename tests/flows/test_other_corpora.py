"""Corpora that are no FAQ: an id and a text are enough, and whatever else there is comes to use."""

import csv
import json
from pathlib import Path

import duckdb
import pytest

from tests.evaluations import SUBJECTS, Rageval


def write(folder: Path, documents: list[dict[str, object]], questions: list[dict[str, object]]) -> None:
    (folder / "documents.json").write_text(json.dumps(documents), encoding="utf-8")
    with (folder / "questions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(questions[0]))
        writer.writeheader()
        writer.writerows(questions)


def texts() -> list[dict[str, object]]:
    return [
        {"id": f"d{number}", "text": f"A {subject} is number {number} of the things that are explained here."}
        for number, subject in enumerate(SUBJECTS)
    ]


def test_a_corpus_of_ids_and_texts_alone_is_indexed_asked_scored_and_reported(rageval: Rageval, corpus: Path) -> None:
    questions = [{"question": f"What is a {name}?", "document": f"d{n}"} for n, name in enumerate(SUBJECTS)]
    write(corpus, texts(), questions)

    run = rageval("--filter-by", "", "--retriever", "vector", "--retriever", "text", "--retriever", "hybrid")

    assert run.status == 0, run.err
    found = run.table("retrieval").to_pandas()
    assert (found["first_relevant_rank"] == 1).all()
    assert (found["document_ids"].str.len() == len(SUBJECTS)).sum() >= 2 * len(SUBJECTS), "nothing restricts the search"
    assert set(run.table("answers")["status"].to_pylist()) == {"ok"}
    assert set(run.table("scores")["status"].to_pylist()) == {"ok"}
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "What is a flow?" in page
    assert "By length of the question" in page


def test_other_columns_are_searched_filtered_by_and_reported_by(rageval: Rageval, corpus: Path) -> None:
    documents = [
        text | {"title": f"Page {n}", "product": "a" if n < 5 else "b", "author": f"ann{n % 2}", "vector": [0.5]}
        for n, text in enumerate(texts())
    ]
    questions = [
        {"question": f"What is a {name}?", "document": f"d{n}", "product": "a" if n < 5 else "b", "level": n % 3}
        for n, name in enumerate(SUBJECTS)
    ]
    write(corpus, documents, questions)

    run = rageval("--filter-by", "product", "--retriever", "vector", "--retriever", "text", "--no-judge")

    assert run.status == 0, run.err
    assert [note.rpartition(": ")[2] for note in run.manifest["dataset"]["notes"]] == ["vector"]  # type: ignore[index]
    stored = duckdb.sql(
        f"SELECT document_id, metadata['product'], metadata['author'] FROM '{run.folder}/documents.parquet' ORDER BY 1"
    ).fetchall()
    assert stored[4:6] == [("d4", "a", "ann0"), ("d5", "b", "ann1")]
    owners = {question["relevant_ids"][0]: question["filter_value"] for question in run.table("questions").to_pylist()}
    for row in run.table("retrieval").to_pylist():
        (asked,) = [q for q in run.table("questions").to_pylist() if q["question_id"] == row["question_id"]]
        assert {owners[document] for document in row["document_ids"]} == {asked["filter_value"]}
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    for heading in ("By product", "By author", "By level", "By length of the question"):
        assert f"<h3>{heading}</h3>" in page


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--filter-by", "product"], "missing columns: product"),
        (["--filter-by", "", "--only", "a"], "nothing says of which column"),
        (["--filter-by", "text"], "a meaning of its own"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_what_to_do(
    rageval: Rageval, corpus: Path, options: list[str], expected: str
) -> None:
    write(corpus, texts(), [{"question": "What?", "document": "d0"}])
    run = rageval(*options)
    assert run.status == 2
    assert expected in run.err
