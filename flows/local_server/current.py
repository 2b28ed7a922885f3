"""The local server of this process: begun once, whoever asks first, and told of the flow runs that begin and end."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import httpx
from prefect.settings import get_current_settings

from flows.local_server.keep_setting import kept_minutes
from flows.local_server.server import LocalServer, prefect_home

_OF_THIS_FOLDER: Final = re.compile(r"sqlite[^/]*:///(?!/)")
"""A database in the folder that the run was started in, or in memory: no other run wants a server of it."""
_of_process: LocalServer | None = None
_making = threading.Lock()


def local_server(say: Callable[[str], None]) -> LocalServer:
    """Return the local server of this process, begun if there was none.

    Raises:
        ConfigError: If RAGEVAL_KEEP_SERVER is wrong.
    """
    global _of_process  # noqa: PLW0603 - Prefect's settings are one for a process, too
    with _making:
        if _of_process is None:
            minutes = kept_minutes()
            database = get_current_settings().server.database.connection_url
            if database and _OF_THIS_FOLDER.match(database.get_secret_value()):
                minutes = None
            server = LocalServer(prefect_home(), minutes * 60 if minutes is not None else None)
            server.begin(say)
            _of_process = server
        return _of_process


def note_flow_run(flow_run: UUID) -> None:
    """Write down that a flow run has begun, if a local server is used."""
    if _of_process:
        _of_process.note(flow_run)


@contextmanager
def flow_runs_noted() -> Iterator[None]:
    """Take the flow runs of the block for ended afterwards, if the server knows how they have ended."""
    try:
        yield
    except httpx.TransportError:
        raise
    except Exception:
        _ended()
        raise
    _ended()


def _ended() -> None:
    if _of_process:
        _of_process.ended()
