"""That this process uses a local server, and which flow runs are its own.

Each process has a file that it holds locked, so the system itself says whether it lives. In the file stand the flow
runs that it has begun and not ended: those of a process that was killed are ended by the next run.
"""

import fcntl
import os
import re
import secrets
from contextlib import suppress
from typing import Final
from uuid import UUID

from flows.local_server.folder import ServerFolder

_LONGEST = 16_384
_MOST_RUNS = 200
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ClientMark:
    """The file of this process."""

    def __init__(self, home: ServerFolder) -> None:
        self._path = home.folder / "clients" / f"{os.getpid()}-{secrets.token_hex(4)}"
        # Only locked once: it must not be taken for that of a process that has ended.
        temporary = home.folder / f".{self._path.name}"
        self._file = temporary.open("a+", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        temporary.replace(self._path)

    def note(self, flow_run: UUID) -> None:
        """Write down a flow run that has begun."""
        with suppress(OSError):
            self._file.write(f"{flow_run}\n")
            self._file.flush()

    def ended(self) -> None:
        """Say that all flow runs have ended, and the server knows how."""
        with suppress(OSError):
            self._file.truncate(0)

    def remove(self) -> None:
        """Stop using a server; a flow run that did not end stays written down."""
        with suppress(OSError):
            if not os.fstat(self._file.fileno()).st_size:
                self._path.unlink(missing_ok=True)
        self._file.close()


def lost_flow_runs(home: ServerFolder) -> list[UUID]:
    """Return the flow runs of processes that have ended without saying how; they are told once."""
    found: list[UUID] = []
    for path in home.clients(alive=False):
        with suppress(OSError, UnicodeDecodeError):
            with path.open(encoding="utf-8") as file:
                found += [UUID(line) for line in file.read(_LONGEST).split() if _ID.fullmatch(line)]
            path.unlink()
    return found[:_MOST_RUNS]
