"""A Pushgateway on localhost: real HTTP, keeps the groups that are pushed, and can be told to refuse or to hang."""

import base64
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote_plus

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class FakePushgateway:
    """Replaces a group with every PUT, as a Pushgateway does."""

    def __init__(self, user: str = "us er", password: str = "s3cret/#") -> None:
        self.groups: dict[str, Samples] = {}
        """The samples of each group, by its path."""
        self.pushed = 0
        self.status = 200
        self.hangs = False
        self.on_push: Callable[[str, Samples], None] = lambda _path, _samples: None
        self._let_go = threading.Event()
        self._credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                gateway.pushed += 1
                if gateway.hangs:
                    gateway._let_go.wait()
                    return
                allowed = self.headers["Authorization"] == f"Basic {gateway._credentials}"
                status = gateway.status if allowed else 401
                if status == 200:
                    gateway._keep(unquote_plus(self.path), body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://us%20er:s3cret%2F%23@127.0.0.1:{self._server.server_port}/at"

    def __enter__(self) -> "FakePushgateway":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _keep(self, path: str, body: str) -> None:
        samples = {
            (sample.name.removeprefix("rageval_flow_"), frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
        }
        self.groups[path] = samples
        self.on_push(path, samples)


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of a metric that have these labels, among others; there has to be one."""
    found = [number for (of, own), number in samples.items() if of == name and labels.items() <= dict(own).items()]
    assert found, (name, labels, samples)
    return sum(found)
