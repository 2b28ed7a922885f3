"""What all tests share: fake servers, and an environment without anybody's keys."""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_llm import FakeLLM

_CREDENTIALS = ("URL", "API_KEY", "USERNAME", "PASSWORD", "CA_CERTS")


@pytest.fixture(autouse=True)
def _nobodys_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", *(f"ELASTICSEARCH_{name}" for name in _CREDENTIALS)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def llm() -> Iterator[FakeLLM]:
    """A model server on localhost that answers everything until the test scripts it."""
    with FakeLLM() as server:
        yield server


@pytest.fixture(scope="session")
def elasticsearch_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that speaks Elasticsearch's API; credentials of the environment are hidden from its clients."""
    binary = Path(sys.executable).parent / "noida-db"
    if not binary.exists():
        reason = f"{binary} is not installed: run `make install`"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("noida")
    command = [binary, "start", "--data-dir", folder, "--only", "elasticsearch", "--elasticsearch-port", str(port)]
    # Its own process group, because the command starts the server as a child and does not pass signals on.
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)


def _wait_for(url: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.URLError:
            threading.Event().wait(0.1)
    pytest.fail(f"the search server at {url} did not start within 20 seconds")
