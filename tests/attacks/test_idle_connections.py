"""Connections of one client that do nothing, or never finish: the chat app goes on answering everybody else."""

# ruff: noqa: F811 - the fixtures are imported
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from rageval.config.evaluation import EvaluationConfig
from tests.fake_llm import FakeLLM
from tests.processes import PATIENCE_S, eventually
from tests.serving.conftest import Serve, chat_process, corpus, limited, serve  # noqa: F401 - fixtures

HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
UNFINISHED = {
    "nothing": b"",
    "half a head": HEAD,
    "half a head after a request": HEAD + b"\r\n" + HEAD,
    "half a body after its response": HEAD + b"Content-Length: 9\r\n\r\nxx",
    "half a WebSocket": HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n" + HEAD,
}
Connect = Callable[..., socket.socket]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect to an address; all connections are closed at the end."""
    with ExitStack() as stack:

        def connect(url: str, sends: bytes = b"") -> socket.socket:
            host, _, port = url.removeprefix("http://").partition(":")
            connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE_S))
            connection.sendall(sends)
            return connection

        yield connect


def is_ended(connection: socket.socket) -> bool:
    """Read to the end, which has to come."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True


def test_as_many_silent_connections_as_a_process_may_have_files_stop_nobody(
    corpus: EvaluationConfig, llm: FakeLLM, tmp_path: Path, connect: Connect
) -> None:
    few_files = ("sh", "-c", 'ulimit -n 512; exec "$@"', "sh")
    with chat_process(corpus.data.documents, llm, tmp_path, through=few_files) as (_, url, log):
        said = log.read_text()
        silent = [connect(url) for _ in range(1015)]

        assert httpx.get(f"{url}/health", timeout=PATIENCE_S).status_code == 200
        assert httpx.post(f"{url}/api/ask", json={"question": "How?"}, timeout=PATIENCE_S).status_code == 200
        assert all(is_ended(connection) for connection in silent[:500]), "the oldest make room for the newest"
        assert log.read_text().removeprefix(said) == "", "nobody fills the log by connecting"


@pytest.mark.parametrize("sends", UNFINISHED.values(), ids=UNFINISHED)
def test_a_request_that_never_ends_is_ended(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, connect: Connect, sends: bytes
) -> None:
    # If the machine is so busy that it ends before all of this has come, that is an end, too.
    monkeypatch.setattr("serving.connections._PATIENCE_S", {"head": 0.5, "read": PATIENCE_S})
    monkeypatch.setattr("serving.server._KEEP_ALIVE_S", PATIENCE_S)
    with serve() as chat:
        assert is_ended(connect(chat.url, sends))


def test_whoever_does_not_read_is_not_waited_for(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    monkeypatch.setattr("serving.connections._PATIENCE_S", {"head": PATIENCE_S, "read": 0.0})
    with serve() as chat:
        connection, asks = connect(chat.url), HEAD.replace(b"/health", b"/openapi.json") + b"\r\n"

        def ask() -> None:
            while True:
                connection.sendall(asks * 1000)

        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            ask()


def test_a_client_has_only_so_many_requests_at_once_also_behind_a_proxy(serve: Serve, connect: Connect) -> None:
    unfinished = (
        b"POST /api/ask HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9\r\nContent-Length: 9\r\n\r\n"
    )
    settings = limited(connections_per_client=3)
    with serve(settings, proxies=["127.0.0.1"]) as chat:

        def asks(client: str) -> int:
            return chat.api.get("/health", headers={"X-Forwarded-For": client}).status_code

        held = [connect(chat.url, unfinished) for _ in range(3)]
        eventually("the requests", lambda: asks("203.0.113.9") == 503)
        assert asks("203.0.113.10") == 200, "the others behind the proxy are not held back"
        for connection in held:
            connection.close()
        eventually("room", lambda: asks("203.0.113.9") == 200)
