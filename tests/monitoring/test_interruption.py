"""A `rageval monitor` that is killed while it judges: nothing is lost or doubled, and only what is missing is asked."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from rageval.cli import main as cli
from rageval.monitoring.store.conversations import add_conversations
from rageval.monitoring.store.database import VARIABLE, open_database
from rageval.monitoring.store.schema import EVALUATIONS
from tests.evaluations import server_variables
from tests.fake_llm import Body, FakeLLM, Reply, default_reply, prompt
from tests.monitoring.made import conversation, id_of
from tests.processes import ROOT

pytestmark = pytest.mark.slow

JUDGED = ("relevance", "faithfulness", "toxicity")
CONVERSATIONS, AT_ONCE = 200, 4
KILLED_AT = 300
"""Of the 600 requests: 200 conversations by three metrics."""


def test_after_kill_9_only_what_was_not_stored_is_asked_again(
    prefect_server: None, llm: FakeLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'monitoring.db'}"
    monkeypatch.setenv(VARIABLE, url)
    for name, value in server_variables().items():
        monkeypatch.setenv(name, value)
    words = [
        "monitor", "--judge", "m1", "--base-url", llm.url, "--max-concurrency", str(AT_ONCE), "--rules", "",
        "--set", "judging.model.hedge=false",
    ]  # fmt: skip
    database = open_database(url)
    asked = {"asked_at": datetime.now(UTC) - timedelta(days=1), "question": "What is a flow?"}  # one makes no topics
    add_conversations(database, [conversation(number, **asked) for number in range(CONVERSATIONS)])

    def verdicts() -> Counter[tuple[str, str]]:
        wanted = sa.select(EVALUATIONS.c.conversation_id, EVALUATIONS.c.metric)
        wanted = wanted.where(EVALUATIONS.c.metric.in_(JUDGED), EVALUATIONS.c.status == "ok")
        with database.reading() as connection:
            return Counter((row[0], row[1]) for row in connection.execute(wanted))

    with subprocess.Popen([sys.executable, "-m", "rageval.cli.main", *words], cwd=ROOT) as run:

        def reply(body: Body) -> str | Reply:
            if len(llm.requests) == KILLED_AT:
                run.kill()
            return default_reply(body)

        llm.reply = reply
    kept = verdicts().total()
    assert 0 < kept < KILLED_AT

    monkeypatch.setattr(sys, "argv", ["rageval", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert not ended.value.code
    assert verdicts() == Counter((id_of(number), metric) for number in range(CONVERSATIONS) for metric in JUDGED)
    sent = Counter(prompt(body) for body in llm.requests)
    assert len(sent) == 3 * CONVERSATIONS
    # Twice: what was not stored yet, and what was on its way to the server on the places beside the last request.
    unstored = KILLED_AT - kept
    assert unstored <= sent.total() - len(sent) < unstored + AT_ONCE
