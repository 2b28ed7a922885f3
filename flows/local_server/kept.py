"""The server that is kept for a user's next run: found if it can be used, and ended if it cannot."""

import hashlib
import json
import re
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
import prefect
import psutil

from flows.local_server.folder import KeptServer, ServerFolder
from flows.local_server.pages import STATUS
from flows.local_server.process import end_process
from rageval import __version__

_DECIDES: Final = re.compile(r"PREFECT_SERVER_(?!API_|ANALYTICS_|EPHEMERAL_)")
"""Settings that a server has from its run; the others are ours, or those of clients."""
_PATIENCE_S = 10.0
_ONE_ANSWER_S = 5.0


def fingerprint(settings: Mapping[str, str]) -> str:
    """Return what differs between servers that cannot stand for each other: versions, interpreter, settings.

    Args:
        settings: Prefect's settings, as variables.
    """
    of_server = sorted((name, value) for name, value in settings.items() if _DECIDES.match(name))
    parts = [prefect.__version__, __version__, sys.version, sys.prefix, of_server]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def find_kept(home: ServerFolder, wanted: str) -> tuple[KeptServer | None, bool]:
    """Return the kept server if it can be used, and whether another one may take its place.

    One that does not answer, or is of another version, is ended unless another process uses it. The lock is held.

    Args:
        home: Where it is written down.
        wanted: The fingerprint that it has to have.
    """
    kept = home.kept()
    process = kept.process() if kept else None
    if kept is None or process is None:
        return None, True
    stopped = process.status() == psutil.STATUS_STOPPED
    if kept.fingerprint == wanted and not stopped and status_of(kept) is not None:
        return kept, True
    if any(home.clients(alive=True)):
        return None, False
    end_process(process)
    home.forget()
    return None, True


def status_of(kept: KeptServer, patience_s: float = _PATIENCE_S) -> dict[str, Any] | None:
    """Return what a kept server says of itself; None if it does not answer, or something else does."""
    until = time.monotonic() + patience_s
    auth = httpx.BasicAuth(*kept.auth.split(":", 1))
    with httpx.Client(trust_env=False, timeout=_ONE_ANSWER_S, auth=auth) as client:
        while time.monotonic() < until:
            try:
                answer = client.get(f"{kept.address}{STATUS}")
                found = answer.json() if answer.is_success else None
                return found if isinstance(found, dict) else None
            except httpx.TimeoutException:
                continue
            except (httpx.HTTPError, ValueError):
                return None
    return None
