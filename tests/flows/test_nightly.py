"""The nightly flow: a run is accepted only if it did not get worse than the last accepted one."""

import json
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import State

from rageval.cli import main as cli
from rageval.comparison.gate_config import GateSettings
from rageval.config.evaluation import DataConfig, EvaluationConfig
from rageval.errors import GateFailedError, RunStoppedError
from rageval.monitoring.review import accept
from rageval.monitoring.store.conversations import add_conversations
from rageval.monitoring.store.database import open_database
from rageval.runs.accepted_runs import ACCEPTED
from rageval.runs.run import Run
from tests.fake_llm import VERDICT, Body, FakeLLM, Reply, is_judgement
from tests.monitoring.made import conversation, id_of

WORSE = VERDICT.replace("RELEVANT", "NON_RELEVANT")
JUDGE = "correctness"

NightlyOutcome = Callable[..., "State[Any]"]


@pytest.fixture
def night(prefect_server: None, corpus: Path, llm: FakeLLM) -> NightlyOutcome:
    """Run the nightly flow on the corpus with text search and the fake model; returns its final state."""
    from flows.nightly import nightly

    def call(run_id: str, *, sample: int | None = None, label: str = "small", newest: bool = False) -> "State[Any]":
        settings = {
            "data": {
                "documents": str(corpus / "documents.json"),
                "ground_truth": f"{'latest:' if newest else ''}{corpus / 'questions.csv'}",
                "sample": sample,
            },
            "retrievers": ["text"],
            "models": [{"name": "m1", "base_url": llm.url}],
            "metrics": ["correctness", "cosine"],
            "judge": {"again_share": 0},
            "run": {"output": str(corpus / "runs"), "run_id": run_id},
        }
        gate = GateSettings(metrics=(JUDGE,), label=label, common=newest)
        return nightly(EvaluationConfig.model_validate(settings), gate, return_state=True)

    return call


def _accepted(corpus: Path) -> dict[str, str]:
    found = json.loads((corpus / "runs" / ACCEPTED).read_text(encoding="utf-8"))
    return {label: values["run_id"] for label, values in found.items()}


def _reply(verdict: str) -> Callable[[Body], str]:
    return lambda body: verdict if is_judgement(body) else "An answer."


def _artifact(key: str, of: "State[Any]") -> Any:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    (mine,) = [artifact for artifact in found if artifact.flow_run_id == of.state_details.flow_run_id]
    return mine.data


def test_a_night_is_accepted_unless_it_got_worse(night: NightlyOutcome, corpus: Path, llm: FakeLLM) -> None:
    llm.reply = _reply(VERDICT)
    first = night("monday")
    assert first.is_completed()
    assert first.message == "Accepted: monday is the first run of 'small'; the next one is measured against it."
    assert _accepted(corpus) == {"small": "monday"}

    second = night("tuesday")
    assert second.is_completed()
    assert str(second.message).startswith("Passed: tuesday did not get worse than monday")
    assert second.result().baseline == "monday"
    assert _accepted(corpus) == {"small": "tuesday"}

    llm.reply = _reply(WORSE)
    third = night("wednesday")
    assert third.is_failed()
    # All 20 verdicts fell from 1 to 0.
    assert str(third.message).startswith(f"Failed: {JUDGE} of m1 got worse by 1.000, more than 0.02")
    assert isinstance(third.result(raise_on_failure=False), GateFailedError)
    assert _accepted(corpus) == {"small": "tuesday"}
    verdict, table = _artifact("rageval-nightly", third), _artifact("rageval-nightly-table", third)
    assert verdict.startswith("# Nightly small: failed\n\n**Failed: correctness of m1 got worse")
    assert "complete: 20 questions, correctness 0.000" in verdict
    assert [row["outcome"] for row in json.loads(table)] == ["worse"]


def test_a_night_is_published_and_accepted_though_the_monitoring_database_is_away(
    night: NightlyOutcome, corpus: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MONITORING_DATABASE_URL", f"sqlite:///{corpus / 'monitoring.db'}")
    assert night("monday", sample=2).is_completed()
    with sqlite3.connect(corpus / "monitoring.db") as database:
        published = database.execute("select run_id, status, questions from runs").fetchall()
    database.close()
    assert published == [("monday", "complete", 2)]

    monkeypatch.setenv("MONITORING_DATABASE_URL", "postgresql://user:the-password@127.0.0.1:1/monitoring")
    assert night("tuesday", sample=2, label="other").is_completed()
    assert _accepted(corpus) == {"small": "monday", "other": "tuesday"}
    assert "`rageval publish" in caplog.text
    assert "the-password" not in caplog.text


def test_the_next_night_asks_what_a_user_asked_and_is_measured_by_the_questions_of_both(
    night: NightlyOutcome, corpus: Path, llm: FakeLLM
) -> None:
    llm.reply = _reply(VERDICT)
    assert night("monday", newest=True).is_completed()
    database = open_database(f"sqlite:///{corpus / 'monitoring.db'}")
    add_conversations(database, [conversation(1, question="How long may a worker be away?", filter_value="a")])
    documents, questions = str(corpus / "documents.json"), str(corpus / "questions.csv")
    data = DataConfig(documents=documents, ground_truth=questions, filter_by="course")
    accept(database, id_of(1), ["d2"], data)

    ended = night("tuesday", newest=True)

    assert ended.is_completed()
    asked = Run(str(corpus / "runs" / "tuesday")).read("answers").num_rows
    assert asked == 21
    assert any("How long may a worker be away?" in str(body) for body in llm.requests)
    assert "their questions differ: 20 in both, 0 only in monday, 1 only in tuesday" in str(ended.message)
    assert _accepted(corpus) == {"small": "tuesday"}


def test_what_cannot_be_compared_waits_for_a_person(
    night: NightlyOutcome,
    corpus: Path,
    llm: FakeLLM,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    llm.reply = _reply(VERDICT)
    night("monday", sample=6)

    other = night("tuesday", sample=4)
    assert other.is_failed()
    assert str(other.message).startswith("Not comparable with the accepted run monday: ")
    assert f"`rageval accept {corpus}/runs/tuesday --label small`" in str(other.message)
    assert night("tuesday", sample=4, label="").is_completed()
    assert _accepted(corpus) == {"small": "monday", "nightly": "tuesday"}

    monkeypatch.setattr(sys, "argv", ["rageval", "accept", f"{corpus}/runs/tuesday", "--label", "small"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "tuesday is the accepted run of 'small' now in place of monday" in capfd.readouterr().out
    assert _accepted(corpus) == {"small": "tuesday", "nightly": "tuesday"}


def test_an_incomplete_night_fails_with_how_to_go_on(night: NightlyOutcome, corpus: Path, llm: FakeLLM) -> None:
    llm.reply = lambda body: Reply(status=400, error="no")

    ended = night("monday", sample=4)

    assert ended.is_failed()
    assert str(ended.message).startswith("the run 'monday' is incomplete: 4 of 4 answers failed")
    assert isinstance(ended.result(raise_on_failure=False), RunStoppedError)
    assert not (corpus / "runs" / ACCEPTED).exists()
