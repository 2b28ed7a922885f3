"""The chat app over real HTTP, with a scripted model, its own database, and documents of two courses."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from rageval.config.evaluation import EvaluationConfig
from rageval.monitoring.records import Conversation
from rageval.monitoring.store.conversations import conversation
from rageval.monitoring.store.database import Database, open_database
from rageval.monitoring.store.recorder import Recorder
from rageval.monitoring.store.schema import CONVERSATIONS, FEEDBACK
from serving.app import create_app
from serving.assistant import Assistant, open_assistant
from serving.server import address_of, listen, server_of
from serving.settings import ChatSettings
from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S, eventually, running

DOCUMENTS = [
    ("ml-certificate", "ml", "General", "How do I get a certificate?", "Finish two projects and review three others."),
    ("ml-late", "ml", "General", "Can I join late?", "Yes, but the deadlines of homework stay as they are."),
    ("de-docker", "de", "Set-up", "How do I install Docker?", "Download <b>Docker Desktop</b> & start it."),
]
GENEROUS = ChatSettings(questions_per_minute=60_000, requests_per_minute=60_000, burst=1000)


@dataclass(kw_only=True)
class Chat:
    """An app that runs."""

    url: str
    api: httpx.Client
    database: Database
    recorder: Recorder
    assistant: Assistant

    def ask(self, question: str = "How do I get a certificate?", **more: object) -> httpx.Response:
        """Ask, and wait until what came of it is stored."""
        response = self.api.post("/api/ask", json={"question": question, **more})
        self.settled()
        return response

    def vote(self, conversation_id: str, thumbs: object = 1, **more: object) -> httpx.Response:
        """Vote, and wait until the vote is stored."""
        response = self.api.post("/api/feedback", json={"conversation_id": conversation_id, "thumbs": thumbs, **more})
        self.settled()
        return response

    def settled(self) -> None:
        """Wait until nothing waits to be stored."""
        eventually("the records in the database", lambda: self.recorder.state.waiting == 0)

    def conversations(self) -> list[Conversation]:
        """Return what is stored, oldest first."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(CONVERSATIONS).order_by(CONVERSATIONS.c.asked_at)).mappings().all()
        return [conversation(row) for row in rows]

    def votes(self) -> list[tuple[str, int, str | None]]:
        """Return conversation, thumbs and comment of every vote that is stored."""
        columns = (FEEDBACK.c.conversation_id, FEEDBACK.c.thumbs, FEEDBACK.c.comment)
        with self.database.reading() as connection:
            return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(FEEDBACK.c.given_at))]


Serve = Callable[..., AbstractContextManager[Chat]]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> EvaluationConfig:
    """Documents that are indexed once for all tests."""
    folder = tmp_path_factory.mktemp("chat")
    names = ("id", "course", "section", "question", "text")
    (folder / "documents.json").write_text(json.dumps([dict(zip(names, row, strict=True)) for row in DOCUMENTS]))
    return EvaluationConfig.model_validate(
        {
            "data": {"documents": str(folder / "documents.json"), "filter_by": "course"},
            "run": {"output": str(folder / "runs")},
        }
    )


@pytest.fixture
def serve(corpus: EvaluationConfig, llm: FakeLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Serve an app until the block ends: with these settings, this model, in this database."""
    monkeypatch.setattr("serving.desk._LOOK_UP_S", PATIENCE_S)  # a busy machine is no database that does not answer

    @contextmanager
    def serve(
        settings: ChatSettings = GENEROUS,
        *,
        database: str = "",
        timeout_s: float = PATIENCE_S,
        proxies: Sequence[str] = (),
        **model: object,
    ) -> Iterator[Chat]:
        url = database or f"sqlite:///{tmp_path / 'chat.db'}"
        described = {"name": "m", "base_url": llm.url, "api_key_env": "NONE", "input_usd_per_mtok": 1.0}
        described |= {"output_usd_per_mtok": 2.0, "max_attempts": 2, **model}
        config = EvaluationConfig.model_validate(
            corpus.model_dump() | {"models": [described]} | {"retrieval": {"top_k": 2}}
        )
        with (
            Recorder(url, tmp_path / "spool") as recorder,
            open_assistant(config, timeout_s=timeout_s) as assistant,
            listen("127.0.0.1", 0) as listening,
        ):
            server = server_of(create_app(assistant, recorder, settings, database=url), settings, proxies=proxies)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            address = address_of(listening)
            try:
                eventually("the chat app", lambda: server.started)
                with httpx.Client(base_url=address, timeout=PATIENCE_S) as api:
                    yield Chat(
                        url=address, api=api, database=open_database(url), recorder=recorder, assistant=assistant
                    )
            finally:
                server.should_exit = True
                thread.join()

    return serve


@pytest.fixture
def chat(serve: Serve) -> Iterator[Chat]:
    """An app that limits nobody."""
    with serve() as chat:
        yield chat


def limited(**settings: object) -> ChatSettings:
    """Return generous settings with some that are not."""
    return replace(GENEROUS, **settings)


@contextmanager
def chat_process(
    documents: str | Path, llm: FakeLLM, folder: Path, *, through: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[bytes], str, Path]]:
    """Run `rageval chat`, maybe through another command; yields its process, its URL, and its log."""
    log = folder / "log"
    command = [
        *through, Path(sys.executable).parent / "rageval", "chat", "--documents", documents, "--model", "m",
        "--base-url", llm.url, "--output", folder / "runs", "--port", "0",
    ]  # fmt: skip
    environment = os.environ | {
        "OPENAI_API_KEY": "none",
        "MONITORING_DATABASE_URL": f"sqlite:///{folder / 'chat.db'}",
    }
    with running(log, command, environment=environment) as app:
        yield app, eventually("the app", lambda: log.read_text().partition("Ask at ")[2].partition(" ")[0], of=app), log
