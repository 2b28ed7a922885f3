"""What the local servers of a user leave for the next run: PREFECT_HOME/rageval-<user>-<machine>.

    server.json     the server that is kept: its process, port, password
    server.lock     held while a server is looked for, started or ended, so that runs that start at once share one
    server.log      what the last kept server has said
    clients/        a file for each process that uses a local server, locked for as long as that process lives

No Prefect is imported: the server's own process reads this while it starts.
"""

import fcntl
import json
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

import filelock
import psutil

MODULE: Final = "flows.local_server.app"
"""What a server's process runs, by which its command line is known."""
_LONGEST_STATE = 4096
_SAME_S = 0.5


@dataclass(frozen=True, kw_only=True)
class KeptServer:
    """A server that goes on running for the next run of the same user."""

    pid: int
    created: float
    """When its process was created, in seconds since 1970: another process may have its number by now."""
    port: int
    auth: str
    """User and password that it wants, as user:password."""
    prefect: str
    fingerprint: str
    """Of everything that makes it another server: versions, interpreter, settings."""

    @property
    def address(self) -> str:
        """Where it is asked, without /api."""
        return f"http://127.0.0.1:{self.port}"

    def process(self) -> psutil.Process | None:
        """Return its process, if that lives, is this user's and a server of ours."""
        try:
            process = psutil.Process(self.pid)
            ours = abs(process.create_time() - self.created) < _SAME_S and process.uids().real == os.getuid()
            if ours and process.status() != psutil.STATUS_ZOMBIE and MODULE in " ".join(process.cmdline()):
                return process
        except psutil.Error:
            pass
        return None

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return what was written, or None where that is something else."""
        try:
            found: Any = json.loads(text)
            if {name: type(value) for name, value in found.items()} != cls.__annotations__:
                return None
            return cls(**found)
        except (ValueError, AttributeError, RecursionError):
            return None


@dataclass(frozen=True)
class ServerFolder:
    """The folder of this user and this machine in a home of Prefect's."""

    folder: Path

    @classmethod
    def of(cls, home: Path) -> Self | None:
        """Return the folder, made if it is not there; None if it is somebody else's, or cannot be made."""
        machine = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:80]
        folder = home / f"rageval-{os.getuid()}-{machine}"
        try:
            (folder / "clients").mkdir(parents=True, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                return None
            folder.chmod(0o700)
        except OSError:
            return None
        return cls(folder)

    @property
    def log(self) -> Path:
        """The file that the kept server writes to."""
        return self.folder / "server.log"

    def lock(self, wait_s: float) -> filelock.FileLock:
        """Return the lock of whoever looks for, starts or ends a server."""
        return filelock.FileLock(self.folder / "server.lock", timeout=wait_s)

    def kept(self) -> KeptServer | None:
        """Return the server that is kept as it was written down, whether it lives or not."""
        try:
            with self._state.open(encoding="utf-8") as file:
                return KeptServer.read(file.read(_LONGEST_STATE))
        except (OSError, UnicodeDecodeError):
            return None

    def keep(self, server: KeptServer) -> None:
        """Write a server down for the next run, as a whole or not at all."""
        temporary = self.folder / f".server.json.{os.getpid()}"
        temporary.write_text(json.dumps(asdict(server)), encoding="utf-8")
        temporary.chmod(0o600)
        temporary.replace(self._state)

    def forget(self) -> None:
        """Remove what is written of the kept server."""
        with suppress(OSError):
            self._state.unlink(missing_ok=True)

    @property
    def _state(self) -> Path:
        return self.folder / "server.json"

    def clients(self, *, alive: bool) -> Iterator[Path]:
        """Yield the files of processes that use a local server, or those of processes that have ended."""
        for path in sorted((self.folder / "clients").glob("*")):
            with suppress(OSError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if alive:
                        yield path
                    continue
                if not alive:
                    yield path
