"""A website for tests that gives its files to those alone who send a signature, or a user with a password.

with guarded_website(folder, query="sig=abc", login="user:password") as host:
    ... f"http://{host}/faq.json?sig=abc" ...
"""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@contextmanager
def guarded_website(folder: Path, *, query: str, login: str) -> Iterator[str]:
    """Serve a folder; yields host and port. Who is turned away reads what was asked for in the answer."""
    basic = "Basic " + base64.b64encode(login.encode()).decode()

    class Handler(SimpleHTTPRequestHandler):
        def send_head(self) -> Any:
            if self.path.endswith(f"?{query}") or self.headers.get("Authorization") == basic:
                return super().send_head()
            self.send_error(403, f"{self.path} is not for you")
            return None

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
