"""Texts that are longer than the embedding model reads: counted and named by whoever goes by their vectors."""

import json
import sys
from pathlib import Path

import pytest

from tests.evaluations import Rageval
from tests.fake_llm import FakeLLM

LONG = "word " * 300
"""300 tokens and two special ones; all-MiniLM-L6-v2 reads 256."""


@pytest.fixture
def with_long_documents(corpus: Path) -> Path:
    """The corpus, with two documents whose texts begin alike and are too long to be told apart."""
    path = corpus / "documents.json"
    documents = json.loads(path.read_text())
    for document in documents[:2]:
        document["text"] = LONG + document["text"]
    path.write_text(json.dumps(documents))
    return corpus


def test_a_run_says_what_vector_search_and_cosine_have_not_read(
    with_long_documents: Path, rageval: Rageval, llm: FakeLLM
) -> None:
    llm.reply = lambda body: LONG if "explain: report" in str(body["messages"]) else "Fine."
    run = rageval("--no-judge", "--retriever", "vector", "--retriever", "text")

    assert run.status == 0, run.err
    of_documents = (
        "2 of 10 documents are longer than the 256 tokens that all-MiniLM-L6-v2 reads, and vector search knows their "
        "beginning only: d0, d1"
    )
    # Two questions of each of the two documents, and one long answer.
    of_cosine = (
        "the cosine compares beginnings only in 5 of 20 cases, because the embedding model reads no further: answers "
        "in 1, references in 4"
    )
    assert run.manifest["warnings"] == [of_documents, of_cosine]
    page = (run.folder / "report.html").read_text().partition("<nav")[0]
    for said in (of_documents, of_cosine):
        assert said in page
        assert said in " ".join(run.out.split())
    cosines = [row for row in run.table("scores").to_pylist() if row["metric"] == "cosine" and row["reason"]]
    assert {row["reason"] for row in cosines} == {
        "compared by the first 256 tokens: answer of 302 tokens",
        # 300 words before the 12 words and the full stop of the document, and two special tokens.
        "compared by the first 256 tokens: reference of 315 tokens",
    }

    # No document is searched for by a vector here, and the index is up to date.
    text = rageval("--no-judge", "--retriever", "text", run_id="r2")
    assert text.manifest["warnings"] == [of_cosine]


def test_indexing_and_an_audit_name_the_documents(
    with_long_documents: Path, rageval: Rageval, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from rageval.cli import main as cli

    files = ("--documents", str(with_long_documents / "documents.json"), "--output", str(with_long_documents / "runs"))
    for _ in range(2):  # once it is embedded, and once it is up to date
        monkeypatch.setattr(sys, "argv", ["rageval", "index", *files])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        out = " ".join(capfd.readouterr().out.split())
        assert "2 of 10 documents are longer than the 256 tokens that all-MiniLM-L6-v2 reads" in out
        assert "beginning only: d0, d1" in out

    truth = ("--ground-truth", str(with_long_documents / "questions.csv"))
    monkeypatch.setattr(sys, "argv", ["rageval", "audit", *files, *truth, "--strict"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    assert "Documents that are longer than the embedding model reads" in capfd.readouterr().out
