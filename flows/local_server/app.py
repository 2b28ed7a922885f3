"""The process of a local Prefect server: Prefect's own app, and a watch that ends it when nobody needs it any more.

A temporary server ends with the process that has started it. A kept one ends when nobody has asked it anything for a
while and no process lives that uses it; when it has grown too large and nobody uses it; and when its home is removed or
another server stands there in its place.
"""

import argparse
import gc
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import filelock
import psutil

from flows.local_server.folder import ServerFolder

_LOOK_EVERY_S: Final = 2.0
_MOST_LOG_BYTES: Final = 1_000_000
_MOST_MEMORY_BYTES: Final = 1_000_000_000
_UNWRITTEN_S: Final = 60.0
"""How long a kept server waits to be written down; whoever started it may have died before."""
_END_WITHIN_S: Final = 20.0
_UNCOUNTED: Final = ("/api/health", "/rageval/status")
"""What is asked by those who want to know whether it lives, not by those who use it."""


class Activity:
    """Requests under way, and how long ago the last one was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self.under_way = 0

    def note(self, change: int) -> None:
        """Count a request that begins (+1) or ends (-1)."""
        with self._lock:
            self.under_way += change
            self._last = time.monotonic()

    @property
    def idle_s(self) -> float:
        """Seconds since anything was asked; 0 while a request or a websocket is open."""
        return 0.0 if self.under_way else time.monotonic() - self._last


class CountedApp:
    """An ASGI app whose requests are counted."""

    def __init__(self, app: Any, activity: Activity) -> None:
        self._app = app
        self._activity = activity

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Pass a request on."""
        if scope["type"] == "lifespan" or scope["path"] in _UNCOUNTED:
            await self._app(scope, receive, send)
            return
        self._activity.note(+1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._activity.note(-1)


class KeptWatch:
    """Whether a kept server has to end."""

    def __init__(self, home: ServerFolder, idle_s: float, activity: Activity) -> None:
        self._home, self._idle_s, self._activity = home, idle_s, activity
        self._since = time.monotonic()

    def ends(self) -> bool:
        """Return whether nobody needs this server any more; it is then no longer written down."""
        if not self._is_written() and time.monotonic() - self._since > _UNWRITTEN_S:
            return not self._activity.under_way
        large = psutil.Process().memory_info().rss > _MOST_MEMORY_BYTES
        if self._activity.idle_s < (_LOOK_EVERY_S if large else self._idle_s):
            return False
        # A run takes the same lock before it looks for a server, and says under it that it uses this one.
        with suppress(filelock.Timeout, OSError), self._home.lock(0):
            if any(self._home.clients(alive=True)):
                return False
            if self._is_written():
                self._home.forget()
            return True
        return False

    def _is_written(self) -> bool:
        kept = self._home.kept()
        return kept is not None and kept.pid == os.getpid()


def main() -> None:
    """Serve until the watch, or SIGTERM, ends it."""
    options = _options()
    import uvicorn  # noqa: PLC0415 - with Prefect's app
    from prefect.server.api.server import create_app  # noqa: PLC0415 - what a client reads above need not import it

    from flows.local_server.pages import add_pages  # noqa: PLC0415 - with Prefect's app

    activity = Activity()
    app = create_app()
    add_pages(app, lambda: activity.idle_s, _password(), options.idle_s)
    gc.freeze()
    gc.enable()
    server = uvicorn.Server(
        uvicorn.Config(
            CountedApp(app, activity), log_level="error", lifespan="on", timeout_graceful_shutdown=5, access_log=False
        )
    )
    if options.home:
        ends: Callable[[], bool] = KeptWatch(ServerFolder(options.home), options.idle_s, activity).ends
    else:
        ends = lambda: os.getppid() != options.owner  # noqa: E731 - the other watch is a method
    threading.Thread(target=_watch, args=(server, ends), name="watch", daemon=True).start()
    server.run(sockets=[socket.socket(fileno=options.fd)])
    raise SystemExit(0 if server.started else 3)


def _watch(server: Any, ends: Callable[[], bool]) -> None:
    """End the server as soon as it has to; one that does not end in order ends at once."""
    while not ends():
        with suppress(OSError):
            if os.fstat(1).st_size > _MOST_LOG_BYTES:
                os.ftruncate(1, 0)
        time.sleep(_LOOK_EVERY_S)
    if not server.started:  # it would first set up the database, at which its successor is by now
        os._exit(0)
    server.should_exit = True
    time.sleep(_END_WITHIN_S)
    logging.shutdown()
    os._exit(0)


def _password() -> str:
    from prefect.settings import get_current_settings  # noqa: PLC0415 - with Prefect's app

    auth = get_current_settings().server.api.auth_string
    if auth is None:
        raise RuntimeError("a local server is started with a password")
    return auth.get_secret_value()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fd", type=int, required=True, help="a socket that is bound, and not yet listened at")
    parser.add_argument("--owner", type=int, help="the process that a temporary server ends with")
    parser.add_argument("--home", type=Path, help="the folder where a kept server is written down")
    parser.add_argument("--idle-s", type=float, help="how long a kept server waits for the next request")
    return parser.parse_args()
