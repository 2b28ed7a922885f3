"""A thread that sees to a local server while a run uses it: one that dies, or hangs for a minute, is started again.

Prefect's clients try again for about a minute, so the run goes on.
"""

import threading
from typing import Final, Protocol

import httpx
import psutil
from prefect.logging import get_logger

from flows.local_server.process import end_process
from rageval.errors import ServiceError

_LOOK_EVERY_S: Final = 1.0
_ASK_EVERY: Final = 10
"""Looks between two questions whether it answers."""
_ANSWER_WITHIN_S: Final = 60.0
_MOST_STARTS: Final = 5
_log = get_logger("flows.server")


class StartableServer(Protocol):
    """A server that can be started again."""

    @property
    def process(self) -> psutil.Process | None:
        """Its process, if that lives."""

    @property
    def api_url(self) -> str:
        """Where its API is."""

    def start_again(self) -> None:
        """Start it where it was; raises ServiceError."""


class ServerWatchdog:
    """Looks whether a server lives, until it is stopped."""

    def __init__(self, server: StartableServer) -> None:
        self._server = server
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="server-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def _keep(self) -> None:
        looks = starts = 0
        while not self._stopped.wait(_LOOK_EVERY_S):
            looks += 1
            process = self._server.process
            if process and (looks % _ASK_EVERY or self._answers()):
                continue
            if starts == _MOST_STARTS or self._stopped.is_set():
                return
            starts += 1
            if process:
                end_process(process)
            _log.warning("Prefect's local server has ended; it is started again, and the run goes on")
            try:
                self._server.start_again()
            except ServiceError as error:
                _log.warning("%s", error)
                return

    def _answers(self) -> bool:
        try:
            with httpx.Client(trust_env=False, timeout=_ANSWER_WITHIN_S) as client:
                return client.get(f"{self._server.api_url}/health").is_success
        except httpx.TimeoutException:
            return False
        except httpx.HTTPError:
            return True  # it is being ended, which the next look sees
