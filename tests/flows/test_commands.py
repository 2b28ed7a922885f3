"""`inspect`, `report`, `index` and `--dry-run`: what a person reads about a run."""

import sys
from pathlib import Path

import pytest

from rageval.cli import main as cli
from tests.evaluations import AGAIN, Rageval
from tests.fake_llm import Body, FakeLLM, Reply, is_judgement, prompt


def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["rageval", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return (ended.value.code or 0, *capfd.readouterr())  # type: ignore[return-value]


def test_inspect_shows_failures_and_one_question_and_no_control_characters(
    rageval: Rageval, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def reply(body: Body) -> str | Reply:
        if "explain: judge" in prompt(body):
            return Reply(status=400, error="too long")
        return "not a verdict" if is_judgement(body) else "An \x1b[31mescape[/red] [bold]and markup"

    llm.reply = reply
    run = rageval()

    status, out, _ = call(monkeypatch, capfd, "inspect", str(run.folder), "--question", "need a worker")
    assert status == 0
    assert "HTTP 400: too long" in out
    assert "Why would I need a worker?" in out
    assert "* 1." in out or "* 2." in out
    assert "\x1b[31m" not in out
    assert "[bold]and markup" in out
    status, _, err = call(monkeypatch, capfd, "inspect", str(run.folder), "--question", "no such words")
    assert status == 2
    assert "no such words" in err


def test_report_is_computed_anew_from_the_tables(
    rageval: Rageval, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = rageval("--no-judge", "--sample", "5")
    before = run.table("summary")
    (run.folder / "summary.parquet").unlink()
    (run.folder / "report.html").unlink()

    status, out, _ = call(monkeypatch, capfd, "report", str(run.folder))

    assert status == 0
    assert run.table("summary").equals(before)
    assert (run.folder / "report.html").exists()
    assert "cosine" in out
    status, _, err = call(monkeypatch, capfd, "report", str(run.folder / "nothing"))
    assert status == 2
    assert "holds no run" in err


def test_index_embeds_a_document_once(
    prefect_server: None, corpus: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ("index", "--documents", str(corpus / "documents.json"), "--output", str(corpus / "runs"))
    assert "10 documents, 10 embedded now" in call(monkeypatch, capfd, *words)[1].replace("\n", " ")
    assert "10 documents, 0 embedded now" in call(monkeypatch, capfd, *words)[1].replace("\n", " ")
    documents = corpus / "documents.json"
    documents.write_text(documents.read_text().replace("number 3", "number three"))
    assert "10 documents, 1 embedded now" in call(monkeypatch, capfd, *words)[1].replace("\n", " ")


def test_a_dry_run_sends_nothing_and_counts_every_call(rageval: Rageval, llm: FakeLLM) -> None:
    run = rageval("--dry-run", "--model", "m1", "--model", "gpt-4o-mini", "--rpm", "10")

    assert run.status == 0
    assert llm.requests == []
    assert not run.folder.exists()
    rows = [line.split("│") for line in run.out.splitlines() if "│" in line]
    cells = {(row[1].strip(), row[2].strip()): [cell.strip() for cell in row[3:-1]] for row in rows}
    # 20 questions for each model at 10 a minute; 20 x 2 answers x 2 verdicts by the first model, and those of the slice
    # that is judged again, of unknown price.
    assert cells["m1", "answers"][0] == cells["gpt-4o-mini", "answers"][0] == "20"
    assert cells["gpt-4o-mini", "answers"][-1] == "2.0"
    assert cells["m1", "verdicts"][0] == str(80 + 4 * AGAIN)
    assert cells["m1", "answers"][3] == "unknown"
    assert float(cells["gpt-4o-mini", "answers"][3]) > 0
