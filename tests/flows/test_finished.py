"""A run that is started again when nothing is left to do: shown as it stands, unless something may be another."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.evaluations import ONE_VERDICT, Outcome, Rageval
from tests.fake_llm import VERDICT, FakeLLM, is_judgement

OPTIONS = ("--sample", "8", *ONE_VERDICT)


@pytest.fixture
def done(rageval: Rageval, llm: FakeLLM) -> Outcome:
    """A run of eight questions that is complete."""
    llm.reply = lambda body: VERDICT if is_judgement(body) else "Fine."
    run = rageval(*OPTIONS)
    assert run.status == 0, run.err
    return run


def _starts(run: Outcome) -> int:
    return len(json.loads((run.folder / "run.json").read_text())["starts"])


def test_a_run_that_is_done_is_shown_again_and_nobody_is_asked_nor_anything_written(
    done: Outcome, rageval: Rageval, llm: FakeLLM
) -> None:
    asked = len(llm.requests)
    written = {path: path.stat().st_mtime_ns for path in done.folder.rglob("*")}

    again = rageval(*OPTIONS)

    assert again.status == 0, again.err
    summary = done.out[done.out.index("Retrieval  ") :]
    assert again.out == f"The run is complete and nothing has changed since: nothing is asked again\n{summary}"
    assert len(llm.requests) == asked
    assert {path: path.stat().st_mtime_ns for path in done.folder.rglob("*")} == written


def test_a_run_that_is_done_needs_no_prefect_and_no_client_of_models(
    done: Outcome, rageval: Rageval, llm: FakeLLM
) -> None:
    rageval(*OPTIONS)

    imported = _imported(PREFECT_API_URL="http://127.0.0.1:9/api")

    assert "pandas" in imported
    assert not imported & {"prefect", "flows", "openai", "tantivy", "torch", "sklearn", "aiohttp"}


def test_a_run_that_embeds_nothing_new_loads_no_server_no_web_framework_and_no_torch(done: Outcome) -> None:
    shutil.rmtree(done.folder)

    imported = _imported()

    assert {"prefect", "openai", "tantivy"} <= imported
    assert not imported & {"prefect.server", "fastapi", "uvicorn", "sqlalchemy", "torch", "sentence_transformers"}


def _imported(**variables: str) -> set[str]:
    """Run the last command once more in a process of its own; returns the modules that it imports."""
    same = [sys.executable, "-X", "importtime", "-m", "rageval.cli.main", *sys.argv[1:]]
    again = subprocess.run(same, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr[-1000:]
    assert "r1 is complete" in again.stdout
    return {line.rpartition("|")[2].strip() for line in again.stderr.splitlines() if line.startswith("import time:")}


def _without_report(folder: Path) -> None:
    (folder / "report.html").unlink()


def _without_summary(folder: Path) -> None:
    (folder / "summary.parquet").unlink()


def _of_another_version(folder: Path) -> None:
    manifest = json.loads((folder / "run.json").read_text())
    manifest["versions"]["rageval"] = "0.0.1"
    (folder / "run.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("change", [_without_report, _without_summary, _of_another_version])
def test_what_is_missing_or_of_another_version_is_written_anew(
    change: Callable[[Path], None], done: Outcome, rageval: Rageval, llm: FakeLLM
) -> None:
    asked = len(llm.requests)
    change(done.folder)

    again = rageval(*OPTIONS)

    assert again.status == 0, again.err
    assert "nothing has changed" not in again.out
    assert (done.folder / "report.html").exists()
    assert (done.folder / "summary.parquet").exists()
    assert len(llm.requests) == asked
    assert _starts(again) == 2


def test_a_damaged_table_is_asked_for_again(done: Outcome, rageval: Rageval, llm: FakeLLM) -> None:
    asked = len(llm.requests)
    answers = done.folder / "answers.parquet"
    answers.write_bytes(answers.read_bytes()[:-20])

    again = rageval(*OPTIONS)

    assert again.status == 0, again.err
    assert "aside as *.damaged" in again.out
    assert len(llm.requests) > asked


def test_other_questions_are_refused_and_another_setting_has_the_run_start_again(
    done: Outcome, rageval: Rageval, corpus: Path
) -> None:
    for _ in range(2):
        limited = rageval(*OPTIONS, "--set", "run.max_failed_share=0.2")
        assert limited.status == 0, limited.err
        assert _starts(limited) == 2

    questions = corpus / "questions.csv"
    questions.write_text(questions.read_text().replace("Please explain", "Do explain"))

    other = rageval(*OPTIONS)
    assert other.status == 2
    assert "questions have changed since the run" in other.err
