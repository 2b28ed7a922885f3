"""`rageval compare`, `gate` and `history` on runs of the real pipeline whose true difference is known."""

import csv
import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rageval.cli import main as cli
from tests.evaluations import ONE_VERDICT, Outcome, Rageval
from tests.fake_llm import VERDICT, Body, FakeLLM, is_judgement, prompt
from tests.made_runs import write_run

CHANCES = {"good": 0.9, "twin": 0.9, "bad": 0.5}
"""How often each model answers well."""
DOCUMENTS = 60
RIGHT = "quite so"

Command = Callable[..., Outcome]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Call `rageval` with these words, in a wide terminal."""

    def call(*words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rageval", *words])
        monkeypatch.setattr("rageval.text.terminal.console.width", 200)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return Outcome(status=ended.value.code or 0, out=out, err=err, folder=tmp_path)

    return call


def _write_corpus(folder: Path) -> None:
    documents = [
        {"id": f"d{i}", "course": "a", "section": "s", "question": f"What is part {i}?", "text": f"Part {i} is {i}."}
        for i in range(DOCUMENTS)
    ]
    (folder / "documents.json").write_text(json.dumps(documents), encoding="utf-8")
    with (folder / "questions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "course", "document"])
        for i in range(DOCUMENTS):
            writer.writerow([f"Please explain part {i}.", "a", f"d{i}"])
            writer.writerow([f"Why is there a part {i}?", "a", f"d{i}"])


def _answer(body: Body) -> str:
    """Answer well with the model's chance, the same in every run; the judge sees whether it did."""
    text = prompt(body)
    if is_judgement(body):
        return VERDICT if RIGHT in text else VERDICT.replace("RELEVANT", "NON_RELEVANT")
    drawn = int(hashlib.sha256(f"{body['model']} {text}".encode()).hexdigest()[:8], 16) / 16**8
    return f"It is {RIGHT}." if drawn < CHANCES[body["model"]] else "It is something else."


def test_two_models_of_a_known_difference_get_the_right_verdict(
    rageval: Rageval, corpus: Path, llm: FakeLLM, command: Command
) -> None:
    _write_corpus(corpus)
    llm.reply = _answer
    judge = ("--judge", "judge", *ONE_VERDICT, "--set", "judge.again_share=0")
    options = (*judge, "--retriever", "text", "--set", "run.chunk_size=40")
    good, twin, bad = (rageval("--model", name, *options, run_id=name).folder for name in CHANCES)
    page, comment = corpus / "page.html", corpus / "comment.md"

    worse = command("compare", str(good), str(bad), "--html", str(page), "--markdown", str(comment))
    alike = command("compare", str(good), str(twin), "--metric", "correctness")

    assert worse.status == 0
    assert "The candidate is worse than the baseline in" in " ".join(worse.out.split())
    assert "correctness of good → bad" in worse.out
    assert "The candidate is worse than the baseline in" in comment.read_text()
    assert "got worse" in page.read_text()
    assert alike.status == 0
    assert not re.search(r"candidate\s+is\s+(worse|better)", alike.out)

    failed = command("gate", str(bad), "--baseline", str(good), "--markdown", str(comment))
    passed = command("gate", str(good), "--baseline", str(bad))
    unsure = command("gate", str(twin), "--baseline", str(good))
    allowed = command("gate", str(twin), "--baseline", str(good), "--allow-underpowered")
    assert (failed.status, passed.status, unsure.status, allowed.status) == (1, 0, 1, 0)
    assert "Failed: correctness of good → bad" in comment.read_text()
    assert "could hide a drop of 0.02" in unsure.out

    past = command("history", str(corpus / "runs"), "--html", str(page), "--parquet", str(corpus / "h.parquet"))
    assert past.status == 0
    assert "correctness in 3 runs" in past.out
    assert "<svg" in page.read_text()
    assert (corpus / "h.parquet").exists()


def test_runs_that_cannot_be_compared_end_with_the_reason(tmp_path: Path, command: Command) -> None:
    a = write_run(tmp_path / "a", scores={"m": {"cosine": [0.5] * 12}})
    b = write_run(tmp_path / "b", scores={"m": {"cosine": [0.5] * 12}}, first_question=3)
    c = write_run(tmp_path / "c", scores={"m": {"cosine": [0.5] * 12}}, version="2")

    questions = command("compare", a.folder, b.folder)
    common = command("compare", a.folder, b.folder, "--common")
    versions = command("compare", a.folder, c.folder, "--metric", "cosine")
    no_run = command("compare", a.folder, str(tmp_path / "nothing"))

    assert (questions.status, common.status, versions.status, no_run.status) == (2, 0, 2, 2)
    assert "give --common" in questions.err
    assert "Only the 9 questions" in common.out
    assert "version 1 in a, 2 in c" in versions.err
    assert "holds no run" in no_run.err
    assert command("gate", b.folder, "--baseline", a.folder).status == 1
    assert command("gate", b.folder, "--baseline", a.folder, "--metric", "nonsense").status == 2


def test_the_terminal_shows_what_a_system_is_called_as_text(tmp_path: Path, command: Command) -> None:
    name = "[red]m[/red]\x7f"
    runs = [write_run(tmp_path / side, scores={name: {"cosine": [0.5] * 12}}).folder for side in "ab"]

    shown = command("compare", *runs, "--metric", "cosine").out

    assert "[red]m[/red]" in shown
    assert "\x7f" not in shown


def test_the_flow_publishes_the_comparison_as_an_artifact(prefect_server: None, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    from flows.compare import compare

    a = write_run(tmp_path / "a", scores={"m": {"cosine": [0.2, 0.4] * 20}})
    b = write_run(tmp_path / "b", scores={"m": {"cosine": [0.7, 0.8] * 20}})

    found = compare(a.folder, b.folder, metrics=("cosine",), html=str(tmp_path / "page.html"))

    # 0.75 - 0.30
    assert [(row.metric, row.verdict) for row in found] == [("cosine", "the candidate is better")]
    assert found[0].difference == pytest.approx(0.45)
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["rageval-compare"]))
        )
    assert "The candidate is better than the baseline in cosine of m" in str(artifact.data)
    assert (tmp_path / "page.html").exists()
