"""A server that a run of Prefect's API may ask sends it on to one that it may not: real servers, a real redirect."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rageval.config.models import ModelConfig
from rageval.corpus.files import load_documents
from rageval.engine.batch_api import BatchApi
from rageval.errors import DataError, RagevalError
from rageval.safety.redirects import is_public
from tests.adapters.asking import Asker
from tests.evaluations import write_corpus
from tests.fake_llm import FakeLLM, Reply


class Site(ThreadingHTTPServer):
    """A website of this machine that sends everybody on, or has a file of documents, and notes who came."""

    def __init__(self, host: str, body: bytes = b"") -> None:
        super().__init__((host, 0), _Handler)
        self.to, self.body = "", body
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(302 if self.server.to else 200)
        if self.server.to:
            self.send_header("Location", self.server.to)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(self.server.body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def website(host: str, body: bytes = b"") -> Iterator[Site]:
    with Site(host, body) as site:
        thread = threading.Thread(target=site.serve_forever)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


@pytest.fixture
def inner(tmp_path: Path) -> Iterator[Site]:
    """A service beside the worker, with documents that would be read if it were asked."""
    with website("127.0.0.2", (write_corpus(tmp_path) / "documents.json").read_bytes()) as site:
        yield site


@pytest.fixture
def outer() -> Iterator[Site]:
    """A server that the worker lets its runs read from."""
    with website("127.0.0.1") as site:
        yield site


@pytest.fixture
def _started_by_prefect(monkeypatch: pytest.MonkeyPatch, outer: Site) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "00000000-0000-0000-0000-000000000000")
    monkeypatch.setenv("RAGEVAL_ALLOW_FILES", outer.address)


@pytest.mark.usefixtures("_started_by_prefect")
@pytest.mark.parametrize(
    "host", ["127.0.0.2", "localhost", "2130706434", "0x7f.2", "[::ffff:127.0.0.2]", "169.254.169.254", "10.1.2.3"]
)
def test_a_run_of_the_api_is_not_sent_on_to_an_address_that_is_not_public(inner: Site, outer: Site, host: str) -> None:
    outer.to = f"http://{host}:{inner.server_port}/documents.json"

    with pytest.raises(DataError, match="no public address"):
        load_documents(f"{outer.address}/documents.json")

    assert outer.asked
    assert not inner.asked


@pytest.mark.usefixtures("_started_by_prefect")
def test_it_is_sent_on_to_what_its_worker_names(inner: Site, outer: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    outer.to = f"{inner.address}/documents.json"
    monkeypatch.setenv("RAGEVAL_ALLOW_FILES", f"{outer.address} {inner.address}")

    assert len(load_documents(f"{outer.address}/documents.json")[0]) == 10


def test_a_run_in_a_shell_follows_as_before(inner: Site, outer: Site) -> None:
    outer.to = f"{inner.address}/documents.json"

    assert len(load_documents(f"{outer.address}/documents.json")[0]) == 10


def test_a_model_s_server_sends_no_run_of_the_api_on(llm: FakeLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "00000000-0000-0000-0000-000000000000")
    monkeypatch.setenv("RAGEVAL_ALLOW_ENDPOINTS", llm.url)
    with FakeLLM("127.0.0.2") as inner:
        away = {"Location": f"{inner.url}/chat/completions"}
        llm.reply = lambda _: Reply(status=307, error="elsewhere", headers=away)

        asker = Asker(llm)
        [reply] = asker(1, max_attempts=1)
        asker.engine.close()

    assert "307" in (reply.error or "")
    assert inner.keys == []


@pytest.mark.usefixtures("_started_by_prefect")
def test_neither_does_its_batch_api(inner: Site, outer: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAGEVAL_ALLOW_ENDPOINTS", outer.address)
    outer.to = f"{inner.address}/v1/batches"

    with BatchApi(ModelConfig(name="m1", base_url=f"{outer.address}/v1")) as api, pytest.raises(RagevalError):
        api.find("token")

    assert outer.asked
    assert not inner.asked


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a9fe:a9fe", False),  # 169.254.169.254, carried
        ("2002:a00:1::", False),  # 10.0.0.1, carried
    ],
)
def test_addresses_of_this_machine_and_its_networks_are_not_public(address: str, expected: bool) -> None:
    assert is_public(address) is expected
