"""`rageval audit` as a person calls it: what it prints, writes and exits with."""

import csv
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rageval.audit.audit import audit
from rageval.cli import main as cli
from rageval.config.evaluation import DataConfig, EvaluationConfig
from rageval.corpus.files import load_corpus
from rageval.tables import AUDIT, GENERATED

Audit = Callable[..., tuple[int, str, str]]

DOCUMENTS = [
    {"id": "1", "course": "a", "section": "s", "question": "How do I join the course?", "text": "By the form on it."},
    {"id": "1", "course": "a", "section": "s", "question": "How do I join the course?", "text": "By the form on it."},
    {"id": "2", "course": "a", "section": "s", "question": "When does week 8 begin?", "text": "TODO"},
    {"id": "3", "course": "a", "section": "s", "question": "What is needed for week 9?", "text": "TODO"},
    {"id": "4", "course": "a", "section": "s", "question": "How do I join the course?", "text": "By the form on it."},
    {"id": "5", "course": "a", "section": "t", "question": "Is <b>Docker</b> needed?", "text": "Yes, from week 1 on."},
]  # fmt: skip
QUESTIONS = [
    ("What must somebody fill in to take part?", "a", "1"),
    ("What must somebody fill in to take part?", "a", "4"),
    ("What must somebody fill in to take part?", "a", "1"),
    ("questions", "a", "2"),
    ("questions", "a", "5"),
    ("<script>alert(1)</script> do containers matter?", "a", "5"),
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "d.json").write_text(json.dumps(DOCUMENTS), encoding="utf-8")
    write_questions(tmp_path, QUESTIONS)
    return tmp_path


def write_questions(folder: Path, rows: list[tuple[str, str, str]]) -> None:
    with (folder / "q.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("question", "course", "document"), *rows])


@pytest.fixture
def call(files: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Audit:
    def run(*options: str) -> tuple[int, str, str]:
        words = ["rageval", "audit", "--documents", str(files / "d.json"), "--ground-truth", str(files / "q.csv")]
        words += ["--filter-by", "course"]
        monkeypatch.setattr(sys, "argv", [*words, "--output", str(files), *options])
        monkeypatch.chdir(files)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_an_audit_without_errors_exits_0_and_with_strict_1(call: Audit, files: Path) -> None:
    status, out, err = call()
    assert (status, err) == (0, "")
    for title in ("Ids that stand several times", "Documents that are identical", "Questions with several right"):
        assert title in out
    table = pq.read_table(files / "audit" / "audit.parquet")
    assert table.schema == AUDIT
    kinds = set(table["kind"].to_pylist())
    assert kinds >= {"id_twice", "row_twice", "same_document", "same_text", "several_documents", "placeholder_question"}
    assert "near_duplicate" not in kinds
    several = [row for row in table.to_pylist() if row["kind"] == "several_documents"]
    assert [row["document_ids"] for row in several] == [["1", "4"], ["2", "5"]]
    assert "They have the same text." in several[0]["what"]
    assert "placeholder" in several[1]["what"]
    assert call("--strict")[0] == 1


def test_the_page_shows_what_the_data_holds_as_text(call: Audit, files: Path) -> None:
    call()
    page = (files / "audit" / "audit.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;b&gt;Docker&lt;/b&gt;" in page
    assert "http" not in page.replace("http-equiv", "")


def test_every_bad_row_is_named_and_the_status_is_1(call: Audit, files: Path) -> None:
    write_questions(files, [*QUESTIONS, ("Where?", "a", "9"), (" ", "a", "1"), ("Who else?", "b", "1")])
    status, out, _ = call()
    assert status == 1
    assert "would refuse" in out
    rows = pq.read_table(files / "audit" / "audit.parquet").to_pylist()
    errors = {row["kind"]: row["rows"] for row in rows if row["severity"] == "error"}
    assert {kind: places[0].rpartition(", ")[2] for kind, places in errors.items()} == {
        "unknown_document": "line 8", "empty_question": "line 9", "other_filter_value": "line 10",
    }  # fmt: skip


def test_a_file_that_cannot_be_read_is_one_sentence_and_status_2(call: Audit, files: Path) -> None:
    (files / "q.csv").write_text("query,course\nx,a\n", encoding="utf-8")
    status, _, err = call()
    assert status == 2
    assert "missing columns: question, document" in err
    assert call("--only", "z")[0] == 2


def test_fix_writes_a_copy_that_a_run_accepts_and_leaves_the_input_alone(call: Audit, files: Path) -> None:
    before = {name: (files / name).read_bytes() for name in ("d.json", "q.csv")}
    status, out, _ = call("--fix", str(files / "fixed"))
    assert status == 0
    assert "Merged the document 4" in out
    corpus = load_corpus(
        DataConfig(
            documents=str(files / "fixed" / "documents.jsonl"), ground_truth=str(files / "fixed" / "ground-truth.jsonl")
        )
    )
    assert [document.document_id for document in corpus.documents] == ["1", "2", "3", "5"]
    assert [question.made_from for question in corpus.questions] == ["1", "2", "5", "5"]
    assert {name: (files / name).read_bytes() for name in before} == before


def test_fix_refuses_to_overwrite_what_it_reads(call: Audit, files: Path) -> None:
    (files / "documents.jsonl").write_text("\n".join(map(json.dumps, DOCUMENTS)), encoding="utf-8")
    status, _, err = call("--documents", str(files / "documents.jsonl"), "--fix", str(files))
    assert status == 2
    assert "overwrite" in err


def test_a_set_too_large_is_sampled_and_that_is_said(files: Path) -> None:
    data = DataConfig(documents=str(files / "d.json"), ground_truth=str(files / "q.csv"))
    config = EvaluationConfig(data=data).model_copy(
        update={"run": EvaluationConfig().run.model_copy(update={"output": str(files)})}
    )
    found = audit(config, most_embedded=2)
    (sampled,) = [finding for finding in found.findings if finding.kind == "sampled"]
    assert "2 of 5 documents" in sampled.what
    assert not [finding for finding in audit(config).findings if finding.kind == "sampled"]


@pytest.mark.parametrize("schema", [AUDIT, GENERATED], ids=["audit", "generated"])
def test_every_column_of_the_tables_says_what_it_holds(schema: pa.Schema) -> None:
    for field in schema:
        assert len(field.metadata[b"description"]) >= 10, field.name
