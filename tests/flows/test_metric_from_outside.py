"""A text metric and a judge metric that are one object each and a line in the catalogue: everything else finds them."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from deployments.dashboards import dashboard
from rageval.cli import main as cli
from rageval.config.evaluation import EvaluationConfig
from rageval.judging.plan import score_plan
from rageval.metrics import catalogue
from rageval.metrics.metric import Array, JudgeMetric, TextMetric
from rageval.monitoring.alert_rules import Rule
from rageval.monitoring.config import OnlineJudgingConfig
from rageval.monitoring.store.conversations import add_conversations
from rageval.monitoring.store.database import VARIABLE, open_database
from rageval.monitoring.store.schema import EVALUATIONS
from tests.evaluations import AGAIN, Outcome, Rageval
from tests.fake_llm import Body, FakeLLM, default_reply, prompt
from tests.monitoring.made import conversation
from tests.test_architecture import ROOT

Command = Callable[..., Outcome]
NAMES = ("--metric", "politeness", "--metric", "brevity")


def brevity(answers: Sequence[str]) -> Array:
    """Return 1 for an answer of one character, and less for a longer one."""
    return np.array([1 / max(1, len(answer)) for answer in answers], dtype=np.float64)


BREVITY = TextMetric(
    name="brevity", version="1", title="Brevity", description="how few characters an answer has",
    standing="compared", needs=("answer",), compute=brevity,
)  # fmt: skip
POLITENESS = JudgeMetric(
    name="politeness", version="7", title="Politeness", description="a judge: POLITE 1, RUDE 0", standing="headline",
    sees=("question", "answer"), labels={"POLITE": 1.0, "RUDE": 0.0}, good="POLITE",
    instructions="You grade whether an answer is polite. The labels are:\nPOLITE: it is.\nRUDE: it is not.",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _one_line_in_the_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "METRICS", (*catalogue.METRICS, POLITENESS, BREVITY))


@pytest.fixture(autouse=True)
def _judge(llm: FakeLLM) -> None:
    def reply(body: Body) -> object:
        if "POLITE:" not in prompt(body):
            return default_reply(body)
        label = "RUDE" if "a worker" in prompt(body) else "POLITE"
        return json.dumps({"reason": "It says please.", "label": label})

    llm.reply = reply  # type: ignore[assignment]


@pytest.fixture
def command(
    tmp_path: Path, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Call `rageval` with these words, in a wide terminal."""

    def call(*words: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["rageval", *words])
        monkeypatch.setattr("rageval.text.terminal.console.width", 200)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return Outcome(status=ended.value.code or 0, out=out, err=" ".join(err.split()), folder=tmp_path)

    return call


def test_plan_and_dry_run_count_them(rageval: Rageval, llm: FakeLLM) -> None:
    plan = score_plan(EvaluationConfig.model_validate({"metrics": ["politeness", "brevity"]}))
    out = rageval(*NAMES, "--dry-run").out

    assert [(score.name, score.metric.version) for score in plan.scores("q")][:2] == [
        ("brevity", "1"), ("politeness", "7"),
    ]  # fmt: skip
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "verdicts" in line]
    assert [row[:3] for row in rows] == [["m1", "verdicts", str(20 + AGAIN)]]
    assert llm.requests == []


def test_a_run_measures_compares_gates_and_shows_them(rageval: Rageval, command: Command, llm: FakeLLM) -> None:
    run = rageval(*NAMES)
    other = rageval(*NAMES, run_id="r2")

    assert run.status == other.status == 0, run.err
    scores = run.table("scores").to_pandas()
    assert Counter(scores["metric"]) == {"brevity": 20, "politeness": 20, "politeness[again]": AGAIN}
    judged = scores[scores["metric"] == "politeness"]
    assert Counter(judged["label"]) == {"POLITE": 19, "RUDE": 1}
    assert set(judged["metric_version"]) == {"7"}
    answers = run.table("answers").to_pandas().set_index("question_id")["answer"]
    lengths = scores[scores["metric"] == "brevity"].set_index("question_id")["value"]
    assert lengths.loc[answers.index].tolist() == [1 / len(answer) for answer in answers]
    summary = {row["metric"]: row for row in run.table("summary").to_pylist()}
    assert (summary["politeness"]["mean"], summary["brevity"]["n_scored"]) == (0.95, 20)
    assert all(0 <= summary[name]["ci_low"] <= summary[name]["ci_high"] <= 1 for name in ("politeness", "brevity"))
    assert {row["metric"] for row in run.table("judging").to_pylist() if row["statistic"] == "flip_rate"} == {
        "politeness"
    }
    page = (run.folder / "report.html").read_text().replace("<wbr>", "")
    for words in ("m1 has politeness 0.950", "RUDE", "how few characters an answer has"):
        assert words in page
    assert "politeness" in run.out
    assert "brevity" in run.out
    compared = command("compare", str(run.folder), str(other.folder)).out
    assert "politeness" in compared
    assert "brevity" in compared
    gated = command("gate", str(other.folder), "--baseline", str(run.folder), *NAMES, "--max-drop", "0.9")
    assert gated.out.count("passed") >= 2
    history = command("history", str(run.folder.parent)).out
    assert "politeness" in history
    assert "brevity" in command("history", str(run.folder.parent), "--metric", "brevity").out


def test_rescore_adds_them_to_a_run_that_lacks_them(rageval: Rageval, command: Command, llm: FakeLLM) -> None:
    run = rageval("--metric", "cosine", "--metric", "relevance")
    llm.requests.clear()

    dry = command("rescore", str(run.folder), *NAMES, "--base-url", llm.url, "--dry-run")
    rescored = command("rescore", str(run.folder), *NAMES, "--base-url", llm.url, "--set", "judge.again_share=0")

    assert "20 scores would be computed without asking a model" in dry.out
    assert rescored.status == 0, rescored.err
    assert len(llm.requests) == 20
    assert {"politeness", "brevity", "cosine", "relevance"} <= set(run.table("summary")["metric"].to_pylist())
    assert run.manifest["config"]["metrics"] == ["relevance", "cosine", "politeness", "brevity"]  # type: ignore[index]


def test_conversations_are_judged_by_it_and_dashboards_and_alerts_have_it(
    prefect_server: None, command: Command, llm: FakeLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'monitoring.db'}"
    monkeypatch.setenv(VARIABLE, url)
    database = open_database(url)
    add_conversations(database, [conversation(n, asked_at=datetime.now(UTC) - timedelta(hours=2)) for n in range(5)])

    watched = command(
        "monitor", "--metric", "politeness", "--judge", "m1", "--base-url", llm.url, "--rules", "", "--days", "1"
    )

    assert watched.status == 0, watched.err
    with database.reading() as connection:
        rows = connection.execute(sa.select(EVALUATIONS).where(EVALUATIONS.c.metric == "politeness")).all()
    assert [(row.label, row.value, row.metric_version) for row in rows] == [("POLITE", 1.0, "7")] * 5
    assert "politeness: 5 conversations" in watched.out
    assert "polite" in watched.out
    assert Rule(name="rude", statistic="politeness_share", below=0.5).statistic == "politeness_share"
    titles = [panel["title"] for panel in dashboard("quality")["panels"]]
    assert {"Polite answers", "Polite answers over time"} <= set(titles)
    offline = json.dumps(dashboard("offline-runs"))
    assert "politeness" in offline
    assert "brevity" in offline
    with pytest.raises(ValueError, match="brevity: no such metric can be chosen; known are relevance, "):
        OnlineJudgingConfig(metrics=("brevity",))


@pytest.mark.parametrize("name", ["evaluate", "rescore", "monitor", "history"])
def test_help_names_them(name: str) -> None:
    words = (
        "from rageval.metrics import catalogue; from tests.flows.test_metric_from_outside import BREVITY, POLITENESS; "
        "catalogue.METRICS = (*catalogue.METRICS, POLITENESS, BREVITY); from rageval.cli.main import main; main()"
    )
    shown = subprocess.run(
        [sys.executable, "-c", words, name, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "politeness" in shown
    assert ("brevity" in shown) == (name in ("evaluate", "rescore"))
