"""No command talks to a host that its user has not named: neither through a proxy nor past it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.evaluations import write_corpus
from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S, ROOT, eventually, free_port, is_healthy, running

pytestmark = pytest.mark.slow
THIS_MACHINE = {"127.0.0.1", "localhost", "::1", "0.0.0.0", "::"}
# Every Python process that is started under it notes whom it looks up and whom it connects to.
WATCH = """
import os, sys
def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host:
        host = host.decode() if isinstance(host, bytes) else host
        file = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(file, f"{host}\\n".encode())
        os.close(file)
sys.addaudithook(note)
"""


class Proxy(BaseHTTPRequestHandler):
    """Notes which host a client wants, and lets nobody through."""

    log: Path

    def _refuse(self) -> None:
        with self.log.open("a") as file:
            file.write(f"proxy:{self.path}\n")
        self.send_error(403)

    do_CONNECT = do_GET = do_POST = do_PUT = do_HEAD = _refuse  # noqa: N815 - the names that http.server asks for

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A folder with a corpus, and an environment in which everybody is watched."""

    folder: Path
    environment: dict[str, str]
    log: Path

    def rageval(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "rageval.cli.main", *arguments]

    def call(self, *arguments: str) -> None:
        ended = subprocess.run(
            self.rageval(*arguments), cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
        # A model that answers anything cannot write a ground truth, but the command has to have got to its end.
        assert ended.returncode in {0, 1, 3}, ended.stdout + ended.stderr

    def strangers(self) -> set[str]:
        """Return the hosts beyond this machine that were looked up, connected to, or asked for."""
        hosts = set(self.log.read_text().split()) if self.log.is_file() else set()
        return hosts - THIS_MACHINE


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("hosts")
    write_corpus(folder)
    (folder / "watch").mkdir()
    (folder / "watch" / "sitecustomize.py").write_text(WATCH)
    handler = type("LoggingProxy", (Proxy,), {"log": folder / "hosts.log"})
    # What stands in a user's environment names hosts; here there is nothing but the model's server.
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "XDG_CACHE_HOME"}}
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy, FakeLLM() as llm:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{proxy.server_port}"
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"), url)
        environment = {
            **kept, **proxies, "no_proxy": "127.0.0.1,localhost", "WATCH_LOG": str(folder / "hosts.log"),
            "PYTHONPATH": f"{folder / 'watch'}:{ROOT}", "PREFECT_HOME": str(folder / "home"),
            "OPENAI_BASE_URL": llm.url, "OPENAI_API_KEY": "any", "PYTHONUNBUFFERED": "1",
            "MONITORING_DATABASE_URL": f"sqlite:///{folder}/monitoring.db",
        }  # fmt: skip
        yield Watched(folder=folder, environment=environment, log=folder / "hosts.log")
        proxy.shutdown()


@pytest.fixture(scope="module")
def with_server(watched: Watched) -> Iterator[Watched]:
    """The same, with a Prefect server that is started as the pages say, and two runs."""
    port = free_port()
    api_url = f"http://127.0.0.1:{port}/api"
    environment = watched.environment | {"PREFECT_API_URL": api_url, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    server = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (
        running(watched.folder / "server.log", server, environment=environment, folder=watched.folder) as process,
        httpx.Client(base_url=api_url, timeout=PATIENCE_S, trust_env=False) as api,
    ):
        eventually("the Prefect server", lambda: is_healthy(api, process))
        place = Watched(folder=watched.folder, environment=environment, log=watched.log)
        for run in ("before", "after"):
            place.call("evaluate", *DATA, "--run-id", run, "--model", "m1")
        yield place


DATA = ("--documents", "documents.json", "--ground-truth", "questions.csv", "--output", "runs")
COMMANDS = [
    ("index", "--documents", "documents.json", "--output", "runs"),
    ("report", "runs/after"),
    ("inspect", "runs/after"),
    ("rescore", "runs/after"),
    ("labels", "runs/after", "labels.csv"),
    ("compare", "runs/before", "runs/after"),
    ("gate", "runs/after", "--baseline", "runs/before"),
    ("accept", "runs/after"),
    ("history", "runs"),
    ("audit", *DATA[:4]),
    ("sweep", *DATA, "--run-id", "sweep", "--set", "grid.candidates=[10]"),
    ("ground-truth", "generate", "--documents", "documents.json", "--output", "runs", "--run-id", "truth",
     "--writer", "m1", "--set", "near_threshold=1"),
    ("publish", "runs/after"),
    ("simulate", "--weeks", "1", "--per-day", "2", *DATA[:4]),
    ("monitor", "--judge", "m1", "--rules", ""),
    ("dashboard", "--html", "dashboard.html"),
    ("feedback", "review"),
    ("prune", "--keep", "1"),
]  # fmt: skip


def test_a_command_that_starts_a_server_of_its_own_contacts_nobody_else(watched: Watched) -> None:
    watched.call("evaluate", *DATA, "--run-id", "own", "--model", "m1")

    assert watched.log.is_file(), "nobody was watched"
    assert watched.strangers() == set()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_command_contacts_nobody_but_whom_its_user_has_named(with_server: Watched, command: Sequence[str]) -> None:
    with_server.call(*command)

    assert with_server.strangers() == set()


@pytest.mark.parametrize("command", ["chat", "serve"])
def test_what_serves_contacts_nobody_but_whom_its_user_has_named(with_server: Watched, command: str) -> None:
    port = free_port()
    config = with_server.folder / "chat.yaml"
    config.write_text("data: {documents: documents.json, ground_truth: questions.csv}\nmodels: [m1]\n")
    options = {"chat": [str(config), "--port", str(port)], "serve": ["--file", str(ROOT / "deployments/prefect.yaml")]}
    ready = {"chat": f"http://127.0.0.1:{port}/health", "serve": ""}[command]
    log = with_server.folder / f"{command}.log"

    def is_ready() -> bool:
        if not ready:
            return "Ctrl-C stops serving" in log.read_text()
        try:
            return httpx.get(ready, timeout=PATIENCE_S, trust_env=False).is_success
        except httpx.TransportError:
            return False

    started = with_server.rageval(command, *options[command])
    with running(log, started, environment=with_server.environment, folder=with_server.folder) as process:
        eventually(command, is_ready, of=process)

    assert with_server.strangers() == set()
