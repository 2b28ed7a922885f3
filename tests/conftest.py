"""What all tests share: fake servers, and an environment without anybody's keys."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.fake_llm import FakeLLM
from tests.postgres import Postgres, new_postgres
from tests.processes import PATIENCE_S, eventually, free_port

pytest_plugins = ["tests.evaluations"]

# The lanes of `make test` side by side, instead of threads of linear algebra that get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# No server stays behind a test, but those that are about servers that stay.
os.environ["RAGEVAL_KEEP_SERVER"] = "no"
# What a shell starts with `&` does not hear Ctrl-C, which some tests press.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long an example takes, or making it up, says how busy the machine is.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_CREDENTIALS = ("URL", "CLOUD_ID", "API_KEY", "USERNAME", "PASSWORD", "CA_CERTS", "CERT_FINGERPRINT")

_EMULATED = pytest.StashKey[bool]()
NO_REAL_NODE = (
    "Elasticsearch was an emulator: TEST_ELASTICSEARCH_URL names a real node, which "
    "tests/elasticsearch_node/node.sh starts where there are Maven and a JDK of 21"
)


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "MONITORING_DATABASE_URL",
        "RAGEVAL_PUSHGATEWAY_URL",
        *(f"ELASTICSEARCH_{name}" for name in _CREDENTIALS),
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _no_reply_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine is busy, a reply takes five times as long as usual: asked again, it would be one too many."""
    monkeypatch.setattr("rageval.engine.hedging._EARLIEST_HEDGE_S", 600.0)


@pytest.fixture
def llm() -> Iterator[FakeLLM]:
    """A model server on localhost that answers everything until the test scripts it."""
    with FakeLLM() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of an S3 server on localhost."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a new bucket, which the environment says how to reach."""
    import boto3

    use_s3(s3_server, monkeypatch)
    name = f"bucket-{token_hex(4)}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


def use_s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name an S3 server, as a user's does."""
    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "the-key",
        "AWS_SECRET_ACCESS_KEY": "the-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """The system's chromium, without a window."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_S * 1000)
    chromium = shutil.which("chromium")
    if not chromium:
        reason = "there is no chromium: install the system's own (on Debian, apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic"]
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium, args=flags, timeout=PATIENCE_S * 1000) as browser,
    ):
        yield browser


@pytest.fixture(scope="session")
def elasticsearch_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real node that TEST_ELASTICSEARCH_URL names, see `tests/elasticsearch_node`, or else an emulator of its API.

    Credentials of the environment are hidden from its clients.
    """
    if real := os.environ.get("TEST_ELASTICSEARCH_URL"):
        yield real
        return
    request.config.stash[_EMULATED] = True
    binary = Path(sys.executable).parent / "noida-db"
    if not binary.exists():
        reason = f"{binary} is not installed: run `make install`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    port = free_port()
    folder = tmp_path_factory.mktemp("noida")
    command = [binary, "start", "--data-dir", folder, "--only", "elasticsearch", "--elasticsearch-port", str(port)]
    # Its own process group, because the command starts the server as a child and does not pass signals on.
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as server:
        try:
            eventually("the search server", lambda: _answers(f"http://127.0.0.1:{port}"), of=server)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A Postgres server that runs; skips where none is installed."""
    with new_postgres() as server, server.running():
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: Postgres) -> str:
    """The URL of a database that all tests share; `postgres.new_url()` is that of an own one."""
    return postgres.new_url()


@pytest.fixture
def real_elasticsearch(elasticsearch_url: str) -> str:
    """The URL of a real node; for what the emulator does not do as Elasticsearch does."""
    if not os.environ.get("TEST_ELASTICSEARCH_URL"):
        pytest.skip(NO_REAL_NODE)
    return elasticsearch_url


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which search engine the tests have had, because what an emulator does is not the last word."""
    if terminalreporter.config.stash.get(_EMULATED, False):
        terminalreporter.write_line(NO_REAL_NODE)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S):
            return True
    except urllib.error.URLError:
        return False
