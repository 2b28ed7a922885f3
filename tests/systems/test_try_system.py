"""`rageval try-system`: request, raw reply, and what is read of it, without anything that is secret."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rageval.cli import main as cli
from tests.toy_rag import ToyRag

Try = Callable[..., tuple[int, str]]
FUNCTION = "def ask(question, history):\n    return {'answer': 'A', 'contexts': ['From elsewhere.']}\n"


@pytest.fixture
def tried(corpus: Path, rag: ToyRag, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Try:
    """Try one of five systems with a known question; returns the exit status and what was printed, on one line."""
    (corpus / "mine.py").write_text(FUNCTION)
    (corpus / "answers.jsonl").write_text(json.dumps({"question": "Please explain: worker", "answer": "Recorded."}))
    headers = [{"name": "x-key", "env": "RAG_API_KEY"}]
    systems = [
        {"kind": "http", "name": "asked", "url": f"{rag.url}/ask", "headers": headers, "usd_per_call": 0.25},
        {"kind": "http", "name": "wrong", "url": f"{rag.url}/ask", "answer_path": "text", "contexts_path": ""},
        {"kind": "python", "name": "called", "function": "mine.py:ask"},
        {"kind": "recorded", "name": "read", "file": str(corpus / "answers.jsonl")},
        {"kind": "closed_book", "name": "alone"},
        {"kind": "pipeline", "name": "ours", "retrievers": ["text"]},
    ]
    data = {"documents": str(corpus / "documents.json"), "ground_truth": str(corpus / "questions.csv")}
    settings = {"data": data, "models": ["m1"], "systems": systems, "run": {"output": str(corpus / "runs")}}
    (corpus / "rag.yaml").write_text(json.dumps(settings))
    monkeypatch.setenv("RAG_API_KEY", "a-very-secret-key")

    def call(name: str, question: str = "Please explain: worker") -> tuple[int, str]:
        monkeypatch.setattr(
            sys, "argv", ["rageval", "try-system", name, question, "--config", str(corpus / "rag.yaml")]
        )
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        assert "a-very-secret-key" not in out + err
        return int(ended.value.code or 0), " ".join((out + err).split())

    return call


def test_an_endpoint_shows_its_request_its_reply_and_the_documents_of_its_contexts(tried: Try, rag: ToyRag) -> None:
    status, said = tried("asked")
    assert status == 0
    assert f"POST {rag.url}/ask content-type: application/json x-key: [key]" in said
    assert '{ "question": "Please explain: worker" }' in said
    assert '"citations":["d2"]' in said
    assert "answer A worker is number 2 of the things that this course explains." in said
    assert "tokens 6 prompt, 16 completion cost $0.250000 citations d2" in said
    assert "What is a worker?" in said, "the title of the document that the first context matches"
    assert len(rag.requests) == 1


def test_a_mapping_that_is_wrong_shows_what_there_is_instead(tried: Try) -> None:
    status, said = tried("wrong")
    assert status == 3
    assert "neither an answer nor contexts (its keys: answer, contexts, citations, usage)" in said


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("called", ['history = []', '{"answer":"A","contexts":["From elsewhere."]}', "none of the documents"]),
        ("read", ["Looked up in the file", "answers.jsonl", "answer Recorded."]),
        ("alone", ["Its model would be sent", "Please explain: worker"]),
        ("ours", ["Its model would be sent", "A worker is number 2", "Contexts"]),
    ],
)  # fmt: skip
def test_a_function_a_file_and_systems_of_ours_show_what_they_would_be_given(
    tried: Try, name: str, shown: list[str]
) -> None:
    status, said = tried(name)
    assert status == 0
    assert [text for text in shown if text not in said] == []


def test_a_name_that_is_not_there_is_told_with_those_that_are(tried: Try) -> None:
    status, said = tried("other")
    assert status == 2
    assert "there is no system 'other'; the configuration has asked, wrong, called, read, alone, ours" in said
