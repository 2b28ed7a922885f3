"""A search server and small documents for the tests of the search indexes."""

import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rageval.records import Document

MakeDocument = Callable[..., Document]


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


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "API_KEY", "USERNAME", "PASSWORD", "CA_CERTS"):
        monkeypatch.delenv(f"ELASTICSEARCH_{name}", raising=False)


@pytest.fixture
def make_document() -> MakeDocument:
    def make(document_id: str, question: str = "", text: str = "", course: str = "ml", section: str = "") -> Document:
        return Document(
            document_id=document_id,
            course=course,
            section=section,
            question=question,
            text=text,
            content_hash=f"{question}|{text}|{course}|{section}",
        )

    return make
