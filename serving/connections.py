"""Connections -> so many of each client and in all, none of which waits for its client for long.

When there are as many as there may be, a new one takes the place of the one that has waited longest for a request:
whoever only opens connections shuts out nobody but itself. A new one is refused where all others are at work.
"""

import asyncio
import logging
import resource
from collections.abc import Callable
from typing import Any, Literal

from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.limits import client_of
from serving.settings import ChatSettings

_PATIENCE_S = {"head": 20.0, "read": 60.0}
"""Seconds that a client has to send the head of a request, and to read what fills its connection."""
_SENTENCE = b'{"error":"There are too many connections. Try again in a second."}'
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_SENTENCE), _SENTENCE)
)
_log = logging.getLogger(__name__)


class Connections:
    """All that are open. Lives in one event loop."""

    def __init__(
        self, settings: ChatSettings, is_proxy: Callable[[str], bool], on_refused: Callable[[str], None]
    ) -> None:
        """Begin with none.

        Args:
            settings: How many there may be; never more than half of the files that the process may open.
            is_proxy: Whether the connections of an address are those of many clients.
            on_refused: Called with a word for each that is refused.
        """
        self._of_client = settings.connections_per_client
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._in_all = settings.max_connections
        if files != resource.RLIM_INFINITY:
            self._in_all = min(self._in_all, files // 2)
        self._is_proxy, self._on_refused = is_proxy, on_refused
        self._open: dict[Connection, str] = {}

    def admit(self, connection: "Connection", host: str) -> bool:
        """Return whether there is room for one more, which may be made by ending another."""
        client = "" if self._is_proxy(host) else client_of(host)
        if client and not self._has_room([other for other, of in self._open.items() if of == client], self._of_client):
            return False
        if not self._has_room(list(self._open), self._in_all):
            return False
        self._open[connection] = client
        return True

    def remove(self, connection: "Connection") -> None:
        """Forget one that is closed."""
        self._open.pop(connection, None)

    def _has_room(self, among: "list[Connection]", most: int) -> bool:
        if len(among) < most:
            return True
        self._on_refused("connections")
        waiting = [other for other in among if other.is_waiting]
        if not waiting:
            return False
        longest = min(waiting, key=lambda other: other.waits_since)
        self.remove(longest)
        longest.transport.abort()
        return True


class Connection(H11Protocol):
    """One connection, which ends if its client does not do its part in time."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._connections = connections
        self._due: Literal["head", "read"] | None = None
        self._end: asyncio.TimerHandle | None = None
        self._is_full = False
        self.waits_since = self.loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether it is the client's turn to send, be it a request or the rest of one."""
        return self._is_idle or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take it on, or refuse it in one sentence."""
        super().connection_made(transport)
        if not self._connections.admit(self, self.client[0] if self.client else ""):
            transport.write(_FULL)
            transport.close()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._end:
            self._end.cancel()
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what the client sends; some bytes of a head do not give it more time for the rest."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.waits_since = self.loop.time()
        super().on_response_complete()
        if self._is_idle and (self.cycle.more_body or self.conn.trailing_data[0]):  # this body, or the next head
            self._unset_keepalive_if_required()
        self._watch()

    def timeout_keep_alive_handler(self) -> None:
        """End it, since no next request has come."""
        super().timeout_keep_alive_handler()
        self._watch()

    def pause_writing(self) -> None:
        """Wait until the client has read."""
        super().pause_writing()
        self._is_full = True
        self._watch()

    def resume_writing(self) -> None:
        """Go on, since the client has read."""
        super().resume_writing()
        self._is_full = False
        self._watch()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        """Let the time run for what the client has to do now, if that is another thing than before."""
        due: Literal["head", "read"] | None = None
        if self._is_full or self.transport.is_closing():  # what is closed stays open until all of it is read
            due = "read"
        elif self._is_idle and self.timeout_keep_alive_task is None:
            due = "head"
        if due == self._due:
            return
        if self._end:
            self._end.cancel()
        self._due = due
        self._end = self.loop.call_later(_PATIENCE_S[due], self.transport.abort) if due else None


def log_refused_accepts_once(loop: asyncio.AbstractEventLoop) -> None:
    """Say it once, and not for each connection, that the process may open no more files."""
    is_said = False

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        nonlocal is_said
        if not str(context.get("message", "")).startswith("socket.accept()"):
            loop.default_exception_handler(context)
        elif not is_said:
            is_said = True
            _log.error("Connections wait: the process may open no more files. Raise its limit, `ulimit -n`.")

    loop.set_exception_handler(handle)
