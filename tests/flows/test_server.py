"""Commands whose Prefect server cannot be used: one sentence that names the address and what to do, and status 2."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_ENABLED, temporary_settings

from deployments import bootstrap
from flows.entrance import flow
from flows.server import ready
from rageval.cli import main as cli
from rageval.errors import ConfigError, CredentialsError, RunStoppedError, ServiceError
from rageval.safety.proxies import LOOPBACK
from tests.evaluations import evaluation
from tests.fake_llm import FakeLLM
from tests.made_runs import write_run
from tests.processes import free_port


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """Run a server that answers everything alike; yields its `host:port`."""

    class Alike(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *message: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Alike) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "error", "reason"),
    [
        (200, "<html>A page</html>", ServiceError, "is another program"),
        (200, "17", ServiceError, "is another program"),
        (404, "{}", ServiceError, "with status 404"),
        (503, "", ServiceError, "with status 503"),
        (401, "{}", CredentialsError, "PREFECT_API_AUTH_STRING"),
        (200, '"2.20.25"', ServiceError, "is of version 2.20.25"),
        (200, '"4.0.0rc1"', ServiceError, "is of version 4.0.0rc1"),
    ],
)
def test_a_server_that_is_no_prefect_server_of_this_version_is_refused_by_its_address_without_its_password(
    status: int, body: str, error: type[Exception], reason: str
) -> None:
    with answering(status, body) as address:
        url = f"http://somebody:secret@{address}/api"
        with temporary_settings({PREFECT_API_URL: url}), pytest.raises(error, match=reason) as refused:
            ready()
    assert f"http://{address}/api (PREFECT_API_URL)" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:4200/api", " http://127.0.0.1/api", "http://", "ftp://host/api", "http://u:secret/@host:99999/api"],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with (
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(ConfigError, match="PREFECT_API_URL should be the address") as refused,
    ):
        ready()
    assert "secret" not in str(refused.value)


def test_https_to_a_server_that_speaks_http_is_refused() -> None:
    with (
        answering(200, '"3.8.3"') as address,
        temporary_settings({PREFECT_API_URL: f"https://{address}/api"}),
        pytest.raises(ServiceError, match=f"https://{address}/api .* does not answer: .*wrong version number"),
    ):
        ready()


def test_no_server_where_none_may_be_started_is_refused() -> None:
    with (
        temporary_settings({PREFECT_API_URL: None, PREFECT_SERVER_EPHEMERAL_ENABLED: False}),
        pytest.raises(ConfigError, match="PREFECT_SERVER_EPHEMERAL_ENABLED"),
    ):
        ready()


def test_proxies_are_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "intranet.example")
    # What is refused was reached.
    with (
        answering(404, "") as address,
        temporary_settings({PREFECT_API_URL: f"http://{address}/api"}),
        pytest.raises(ServiceError, match="with status 404"),
    ):
        ready()
    expected = ",".join(["intranet.example", *LOOPBACK])
    assert (os.environ["NO_PROXY"], os.environ["no_proxy"]) == (expected, expected)


def test_a_proxy_on_the_way_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", f"http://somebody:secret@{proxy}")
    with (
        temporary_settings({PREFECT_API_URL: "http://prefect.example:4200/api"}),
        pytest.raises(ServiceError, match=f"through the proxy http://{proxy} of HTTP_PROXY .* NO_PROXY") as refused,
    ):
        ready()
    assert "secret" not in str(refused.value)


def test_a_proxy_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://somebody:secret@proxy.example")
    with pytest.raises(ConfigError, match=r"gopher://proxy\.example of ALL_PROXY") as refused:
        ready()
    assert "secret" not in str(refused.value)


COMMANDS: dict[str, list[str]] = {
    "evaluate": ["--model", "m1"],
    "index": [],
    "sweep": ["--set", "grid.methods=[text]"],
    "ground-truth generate": ["--writer", "m1"],
    "monitor": ["--no-judge"],
    "rescore": ["runs/r1"],
    "serve": [],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_that_the_server_does_not_answer(
    command: str, corpus: Path, llm: FakeLLM, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    options = list(COMMANDS[command])
    if command not in {"monitor", "rescore", "serve"}:
        options += ["--documents", str(corpus / "documents.json"), "--output", str(corpus / "runs")]
    if command in {"evaluate", "sweep"}:
        options += ["--ground-truth", str(corpus / "questions.csv")]
    if command in {"evaluate", "ground-truth generate"}:
        options += ["--base-url", llm.url]
    if command == "rescore":
        write_run(corpus / "runs" / "r1", scores={"m1": {"cosine": [0.5]}})
        options = [str(corpus / "runs" / "r1")]
    monkeypatch.setenv("MONITORING_DATABASE_URL", f"sqlite:///{corpus}/monitoring.db")
    monkeypatch.setattr(sys, "argv", ["rageval", *command.split(), *options])

    status, err = _ended(cli.main, capfd)

    assert (status, err.count("\n")) == (2, 1), err
    assert "does not answer: [Errno 111] Connection refused. Start it with `prefect server start`" in err


def test_the_bootstrap_says_that_the_server_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bootstrap"])
    status, err = _ended(bootstrap.main, capfd)
    assert (status, err.count("\n")) == (2, 1), err


def _ended(command: Callable[[], None], capfd: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """Run a command with a server that does not answer; returns its status and what it says on stderr."""
    address = f"http://127.0.0.1:{free_port()}/api"
    with temporary_settings({PREFECT_API_URL: address}), pytest.raises(SystemExit) as ended:
        command()
    err = capfd.readouterr().err
    assert f"the Prefect server at {address} (PREFECT_API_URL)" in err
    return ended.value.code, err


def test_a_server_that_ends_while_it_starts_is_told_by_what_it_said_and_no_thread_complains(
    corpus: Path, llm: FakeLLM
) -> None:
    (corpus / "prefect").mkdir()
    (corpus / "prefect" / "prefect.db").write_text("This is no database. " * 99)

    with evaluation(corpus, llm) as run:  # by vector search, so questions are being embedded meanwhile
        _, err = run.communicate()

    assert run.returncode == 2
    assert "local server ended while it started, with exit status 3: sqlalchemy" in err
    assert "file is not a database" in err
    assert f"PREFECT_HOME (now {corpus}/prefect)" in err
    assert err.count("\n") == 1, err


def test_a_server_that_is_lost_on_the_way_ends_a_run_that_can_go_on(prefect_server: None) -> None:
    @flow(name="on-the-way")
    def ask() -> None:
        raise httpx.ConnectError("Connection refused")

    with pytest.raises(RunStoppedError, match=r"stopped answering \(ConnectError: Connection refused\)"):
        ask()


def test_a_flow_called_from_python_waits_for_its_server_and_asks_no_proxy_for_it(corpus: Path) -> None:
    program = f"""
from flows.index_documents import index_documents
from rageval.config.evaluation import EvaluationConfig

settings = {{"data": {{"documents": "{corpus}/documents.json"}}, "run": {{"output": "{corpus}/runs"}}}}
print(index_documents(EvaluationConfig.model_validate(settings)).documents)
"""
    # Prefect's own class would not wait at all.
    variables = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "0", "PREFECT_HOME": f"{corpus}/prefect"}
    proxies = dict.fromkeys(("HTTP_PROXY", "ALL_PROXY"), f"http://127.0.0.1:{free_port()}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment | variables | proxies,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "10\n"), done.stderr
    assert "Traceback" not in done.stderr
