"""A Prefect server for flows, a small corpus, and `rageval evaluate` on it, in this process or one of its own."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect.settings import get_current_settings

from tests.fake_llm import FakeLLM

SEED = "91940"
AGAIN = 4
"""Of the twenty questions: the random slice whose verdicts are asked for again, with that seed and the default share
(0.1): why one would need a flow, a judge or an index, and what a budget is."""
ONE_VERDICT = ("--set", "metrics=[correctness, cosine, rouge_l, exact_match, fuzzy_match, refusal, answer_words]")
"""The usual metrics, with one that asks a judge."""
THREE_VERDICTS = ("--set", "metrics=[correctness, relevance, faithfulness, cosine]")
SUBJECTS = ("flow", "task", "worker", "judge", "index", "cosine", "budget", "report", "chunk", "schedule")


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server with a database of its own for all tests, which ends with them."""
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_SERVER_DATABASE_CONNECTION_URL,
        temporary_settings,
    )

    from flows.local_server.server import LocalServer

    home = tmp_path_factory.mktemp("prefect")
    database = f"sqlite+aiosqlite:///{home}/prefect.db"
    # The end of a flow waits up to a second for the thread that sends the heartbeats, which no test looks at.
    with temporary_settings(
        {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_SERVER_DATABASE_CONNECTION_URL: database}
    ):
        server = LocalServer(home, None)
        server.begin(print)
        server.ready(print)
        yield
        APILogWorker.instance().drain()
        EventsWorker.drain_all()
        server.close()


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """A folder with ten documents in two courses and twenty questions."""
    return write_corpus(tmp_path)


def write_corpus(folder: Path) -> Path:
    """Write ten documents in two courses and twenty questions; returns the folder."""
    documents = [
        {
            "id": f"d{number}",
            "course": "a" if number < 6 else "b",
            "section": "general",
            "question": f"What is a {subject}?",
            "text": f"A {subject} is number {number} of the things that this course explains.",
        }
        for number, subject in enumerate(SUBJECTS)
    ]
    (folder / "documents.json").write_text(json.dumps(documents), encoding="utf-8")
    with (folder / "questions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "course", "document"])
        for document in documents:
            subject = SUBJECTS[int(document["id"][1:])]
            writer.writerow([f"Please explain: {subject}", document["course"], document["id"]])
            writer.writerow([f"Why would I need a {subject}?", document["course"], document["id"]])
    return folder


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a call of the command line did."""

    status: int
    out: str
    err: str
    folder: Path

    def table(self, name: str) -> pa.Table:
        return pq.read_table(self.folder / f"{name}.parquet")

    @property
    def manifest(self) -> dict[str, object]:
        return json.loads((self.folder / "run.json").read_text())


Rageval = Callable[..., Outcome]


@pytest.fixture
def rageval(
    prefect_server: None,
    corpus: Path,
    llm: FakeLLM,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Rageval:
    """Call `rageval evaluate` on the corpus with the fake model; options given last win."""
    from rageval.cli import main as cli

    def call(*options: str, run_id: str = "r1", base_url: str | None = None) -> Outcome:
        arguments = [
            "rageval", "evaluate",
            "--documents", str(corpus / "documents.json"), "--ground-truth", str(corpus / "questions.csv"),
            "--filter-by", "course", "--seed", SEED, "--output", str(corpus / "runs"), "--run-id", run_id,
            *([] if "--model" in options else ["--model", "m1"]), "--base-url", base_url or llm.url,
            "--set", "run.chunk_size=4", *options,
        ]  # fmt: skip
        monkeypatch.setattr(sys, "argv", arguments)
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return Outcome(status=ended.value.code or 0, out=out, err=err, folder=corpus / "runs" / run_id)

    return call


def server_variables() -> dict[str, str]:
    """What a process needs to use the Prefect server that this one uses."""
    api = get_current_settings().api
    auth = {"PREFECT_API_AUTH_STRING": api.auth_string.get_secret_value()} if api.auth_string else {}
    return {"PREFECT_API_URL": str(api.url), **auth}


@contextmanager
def evaluation(
    corpus: Path, llm: FakeLLM, server: Mapping[str, str] | None = None, *options: str
) -> Iterator[subprocess.Popen[str]]:
    """`rageval evaluate` in a process group of its own, as a shell starts it; without a server it starts one."""
    command = [
        sys.executable, "-m", "rageval.cli.main", "evaluate",
        "--documents", str(corpus / "documents.json"), "--ground-truth", str(corpus / "questions.csv"),
        "--filter-by", "course", "--seed", SEED, "--output", str(corpus / "runs"), "--run-id", "r1",
        "--model", "m1", "--base-url", llm.url,
        "--max-concurrency", "4", "--set", "run.chunk_size=4", "--set", "models.0.hedge=false", *options,
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= server or {"PREFECT_HOME": str(corpus / "prefect")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        try:
            yield run
        finally:
            run.kill()
