"""A proxy before Elasticsearch that answers some requests itself: as a real node was recorded to do, or not at all."""

import json
import ssl
import threading
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.processes import PATIENCE_S

REPLIES = Path(__file__).parent / "elasticsearch_node" / "replies"
_PRODUCT = {"X-Elastic-Product": "Elasticsearch"}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A reply."""

    status: int
    headers: dict[str, str]
    body: bytes


def recorded(name: str) -> Recorded:
    """Return what the real node said, see `tests/elasticsearch_node/README.md`."""
    exchange = json.loads((REPLIES / f"{name}.json").read_text(encoding="utf-8"))
    headers = {key: value for key, value in exchange["headers"].items() if key != "content-length"}
    headers.setdefault("content-type", "application/json")
    body = exchange["response_body"]
    return Recorded(
        status=exchange["status"],
        headers=headers,
        body=body.encode() if isinstance(body, str) else json.dumps(body).encode(),
    )


def reply(status: int, body: Any, **headers: str) -> Recorded:
    return Recorded(
        status=status,
        headers={"content-type": "application/json", **_PRODUCT, **headers},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
    )


def operation_of(method: str, path: str) -> str:
    """Return what a request is for, as the recorded files are named."""
    path = path.partition("?")[0]
    last = path.rpartition("/")[2]
    if path == "/":
        return "root"
    if last.startswith("_"):
        return {"_aliases": "move-alias"}.get(last, last.lstrip("_"))
    return {"PUT": "create", "DELETE": "delete", "GET": "builds"}.get(method, method)


@dataclass(kw_only=True)
class ElasticsearchProxy:
    """Passes requests on until a test scripts replies, and says which version it is: one that the client may use."""

    upstream: str
    version: str = "9.2.4"
    """The last that takes vectors as numbers alone, as the emulator does."""
    tls: ssl.SSLContext | None = None
    script: dict[str, deque[Recorded]] = field(default_factory=dict)
    """Replies to the next requests of an operation."""
    always: dict[str, Recorded] = field(default_factory=dict)
    """Replies to all requests of an operation."""
    largest: int | None = None
    """Bytes of a body, above which the reply is 413."""
    silent: threading.Event = field(default_factory=threading.Event)
    """While it is set, requests wait for an answer until the proxy ends."""
    hangs_at: str = ""
    """From the first request of this operation on, it is silent."""
    drops: int = 0
    """So many next requests are hung up on, as by a server that is restarted."""
    bodies: list[tuple[str, bytes]] = field(default_factory=list)
    """Operation and body of each request."""
    asked: list[str] = field(default_factory=list)
    """Method and path of each request."""
    reads_only: bool = False
    """Whether the key allows searches and nothing else, as one with the privilege `read` on the index does."""

    def __enter__(self) -> "ElasticsearchProxy":
        self._ended = threading.Event()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://localhost:{self._server.server_port}"

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Recorded | None:
        operation = operation_of(method, path)
        self.bodies.append((operation, body))
        self.asked.append(f"{method} {path.partition('?')[0]}")
        if self.reads_only and operation not in ("msearch", "search"):
            reason = f"action [{operation}] is unauthorized for API key id [k]"
            return reply(403, {"error": {"type": "security_exception", "reason": reason}, "status": 403})
        if self.drops:
            self.drops -= 1
            return None
        if operation == self.hangs_at:
            self.silent.set()
        if self.silent.is_set():
            self._ended.wait(PATIENCE_S)
            return None
        if self.largest is not None and len(body) > self.largest:
            return recorded("bulk-413-max-content-length")
        if scripted := self.script.get(operation):
            return scripted.popleft()
        if operation in self.always:
            return self.always[operation]
        if operation == "root":
            return self._root()
        return self._passed_on(method, path, headers, body)

    def _root(self) -> Recorded:
        root = recorded("root")
        body = json.loads(root.body)
        body["version"]["number"] = self.version
        return replace(root, body=json.dumps(body).encode())

    def _passed_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Recorded:
        request = urllib.request.Request(self.upstream + path, body or None, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return Recorded(status=answer.status, headers=dict(answer.headers), body=answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Recorded(status=error.code, headers=dict(error.headers), body=error.read())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: ElasticsearchProxy

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        answer = self.owner.answer(self.command, self.path, kept, body)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - the base class's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


_HOP = {"content-length", "connection", "transfer-encoding", "host", "accept-encoding", "keep-alive"}
