"""The flow `monitor`: conversations judged, alerts told, artifacts written, and a sentence at the end."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from rageval.cli import main as cli
from rageval.monitoring.notify import VARIABLE as ALERT_URLS
from rageval.monitoring.store.conversations import add_conversations
from rageval.monitoring.store.database import VARIABLE, Database, open_database
from rageval.monitoring.store.schema import ALERTS, CONVERSATIONS, EVALUATIONS
from tests.fake_llm import NOT_TOXIC, VERDICT, Body, FakeLLM, Reply, default_reply, is_about_toxicity, prompt
from tests.monitoring.made import conversation
from tests.monitoring.webhook import Webhook

pytestmark = pytest.mark.slow

Monitor = Callable[..., tuple[int, str, str]]
RULES = "rules: [{name: relevance, statistic: relevance_share, below: 0.6, minimum: 20}]"


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with Webhook() as server:
        monkeypatch.setenv(ALERT_URLS, server.url)
        yield server


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Thirty conversations of yesterday, one of last month, in a database that the environment names."""
    url = f"sqlite:///{tmp_path / 'monitoring.db'}"
    monkeypatch.setenv(VARIABLE, url)
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
    database = open_database(url)
    made = [conversation(number, asked_at=noon + timedelta(seconds=number)) for number in range(30)]
    add_conversations(database, [*made, conversation(99, asked_at=noon - timedelta(days=40))])
    return database


@pytest.fixture
def monitor(
    prefect_server: None, database: Database, llm: FakeLLM, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> Monitor:  # fmt: skip
    """Call `rageval monitor` with the fake judge; returns status, output and errors."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES, encoding="utf-8")

    def call(*options: str) -> tuple[int, str, str]:
        judge = [] if "--no-judge" in options else ["--judge", "m1", "--base-url", llm.url]
        monkeypatch.setattr(sys, "argv", ["rageval", "monitor", "--rules", str(rules), *judge, *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = (" ".join(text.split()) for text in capfd.readouterr())  # a terminal wraps its lines
        return int(ended.value.code or 0), out, err

    return call


def _count(database: Database, table: sa.Table, *conditions: Any) -> int:
    with database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table).where(*conditions)).scalar_one())


def _last_artifact(key: str) -> Any:
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return max(found, key=lambda artifact: artifact.created or datetime.min.replace(tzinfo=UTC)).data


def _worse(body: Body) -> str | Reply:
    reply = default_reply(body)
    return VERDICT.replace("RELEVANT", "NON_RELEVANT") if reply == VERDICT else reply


def test_what_got_worse_is_judged_told_once_and_shown(
    monitor: Monitor, database: Database, llm: FakeLLM, webhook: Webhook
) -> None:
    llm.reply = _worse
    webhook.status = 500
    status, out, _ = monitor("--retention-days", "30")
    assert status == 0
    # Thirty conversations by three judged metrics; the one of last month is gone.
    assert len(llm.requests) == 90
    assert _count(database, CONVERSATIONS) == 30
    assert _count(database, EVALUATIONS, EVALUATIONS.c.metric == "language") == 30
    assert "1 new alert: relevance" in out
    assert "refused the message with HTTP 500; the next run tries again" in out
    page = _last_artifact("rageval-monitor")
    assert "## New alerts\n\n| rule | what |" in page
    assert "| relevance | The share of relevant answers was 0 \\[0, 0.114\\] of 30 on " in page
    assert "| relevant |" in page
    assert "- relevance: 30 conversations" in page

    webhook.status = 200
    status, out, _ = monitor()
    assert status == 0
    assert "0 new alerts" in out
    assert len(llm.requests) == 90  # nothing is asked twice
    assert [message["title"] for message in webhook.taken] == ["rageval: 1 alert: relevance"]
    assert _count(database, ALERTS, ALERTS.c.sent_at.is_not(None)) == 1
    monitor("--no-judge")
    assert len(webhook.taken) == 1


def test_a_judge_that_breaks_keeps_nobody_from_looking_and_the_next_run_goes_on(
    monitor: Monitor, database: Database, llm: FakeLLM, webhook: Webhook
) -> None:
    def broken(body: Body) -> str | Reply:
        if is_about_toxicity(body) and "What is 7?" in prompt(body):
            return Reply(status=429, code="insufficient_quota", error="You exceeded your current quota")
        return NOT_TOXIC if is_about_toxicity(body) else _worse(body)

    llm.reply = broken
    status, _, err = monitor("--max-concurrency", "1")
    assert status == 3
    assert "quota" in err
    before = _count(database, EVALUATIONS, EVALUATIONS.c.judge == "m1")
    assert 0 < before < 90
    assert _last_artifact("rageval-monitor").startswith("# Monitoring on ")
    assert _count(database, EVALUATIONS, EVALUATIONS.c.metric == "language") == 30

    asked = len(llm.requests)
    llm.reply = default_reply
    status, _, _ = monitor("--max-conversations", "25")
    assert status == 0
    assert len(llm.requests) - asked == _count(database, EVALUATIONS, EVALUATIONS.c.judge == "m1") - before
    assert _count(database, EVALUATIONS, EVALUATIONS.c.judge == "m1") <= 90


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rules", "gone.yaml"), "the file of alert rules gone.yaml does not exist"),
        (("--share", "1.5"), "--share"),
        (("--set", "drift.days=3"), "drift.days is not a known setting"),
        (("--max-cost-usd", "1"), "the price of the judge"),
    ],
)
def test_what_cannot_work_ends_in_one_sentence(
    monitor: Monitor, llm: FakeLLM, options: tuple[str, ...], words: str
) -> None:
    status, _, err = monitor(*options)
    assert status == 2
    assert words in err
    assert llm.requests == []
