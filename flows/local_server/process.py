"""The process of a local Prefect server: started, waited for as long as it lives, ended.

The client imports nothing of Prefect's server for it.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import httpx
import psutil

from flows.local_server.folder import MODULE, ServerFolder
from rageval.errors import ServiceError
from rageval.safety.urls import without_logins

_ASK_EVERY_S = 0.05
_SAY_EVERY_S = 20.0
_ANSWER_WITHIN_S = 60.0
_END_WITHIN_S = 10.0
_KEPT_BYTES = 65_536
_LONGEST = 300
_PROGRAM: Final = (
    f"import gc, sys; gc.disable(); sys.path.insert(0, sys.argv.pop(1)); from {MODULE} import main; main()"
)
"""Nothing becomes free while modules load, and looking for it takes an eighth of the start. The first argument is where
this package is installed: the folder that a user works in may have packages of the same names."""
_TEMPORARY: Final = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
"""What Prefect gives its temporary servers."""
_KEPT: Final = {
    "PREFECT__SERVER_FINAL": "1",
    **{
        f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false"
        for service in ("SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP")
    },
}
"""A kept one has a UI, and looks after no deployments: they want a server that goes on running."""
_CLOSED: Final = {
    "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""No website that its user looks at may ask it anything, and it tells nobody that it runs."""
_AUTH: Final = "PREFECT_SERVER_API_AUTH_STRING"
_OF_CLIENTS: Final = {"PREFECT_API_KEY", "PREFECT_API_URL", "PREFECT_API_AUTH_STRING"}
_PASSED_ON: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|TMPDIR|TZ|LANG|LC_.*|LD_LIBRARY_PATH|VIRTUAL_ENV|PYTHON.*|SSL_.*|XDG_.*|PREFECT_.*|PG.*"
)
"""Variables of a server that goes on running: keys of models are none of its business. PG... are those of Postgres."""


@dataclass(frozen=True, kw_only=True)
class ServerProcess:
    """A server that was started here."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: BinaryIO
    home: Path
    """Prefect's own, for messages."""

    def answers(self, say: Callable[[str], None]) -> None:
        """Wait until it answers; one that was stopped goes on.

        Raises:
            ServiceError: If its process ends before; with the last that it said.
        """
        started = said = time.monotonic()
        # Whatever proxy the environment names, it does not know this machine's loopback.
        with httpx.Client(trust_env=False, timeout=_ANSWER_WITHIN_S) as client:
            while self.process.poll() is None:
                try:
                    if client.get(f"http://127.0.0.1:{self.port}/api/health").is_success:
                        return
                except httpx.TransportError:
                    pass
                with suppress(psutil.Error):
                    if psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED:
                        self.process.send_signal(signal.SIGCONT)
                if (now := time.monotonic()) - said > _SAY_EVERY_S:
                    said = now
                    say(
                        f"Starting Prefect's server, for {now - started:.0f} s now: its first start sets up a database "
                        f"in {self.home}, which takes minutes on a busy machine ..."
                    )
                time.sleep(_ASK_EVERY_S)
        raise ServiceError(self._end())

    def end(self) -> None:
        """End it, politely and after a while not."""
        end_process(psutil.Process(self.process.pid)) if self.process.poll() is None else None
        self.process.wait()
        self.log.close()

    def _end(self) -> str:
        """Return in words how it ended: its error stands in the last line that looks like one."""
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - _KEPT_BYTES))
        lines = [line for line in self.log.read(_KEPT_BYTES).decode(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if re.match(r"[A-Za-z_][\w.]*: \S", line)]
        last = next(reversed(errors or lines), "it said nothing")
        return (
            f"Prefect's local server ended while it started, with exit status {self.process.returncode}: "
            f"{without_logins(last)[:_LONGEST]}. It needs a folder that it can write to, PREFECT_HOME (now "
            f"{self.home}), and the database in it or that of PREFECT_SERVER_DATABASE_CONNECTION_URL; `prefect server "
            "start` shows all that it says"
        )


def start_process(
    settings: Mapping[str, str], auth: str, home: Path, *, port: int = 0, kept: ServerFolder | None = None,
    idle_s: float = 0.0,
) -> ServerProcess:  # fmt: skip
    """Start a server, at a port that is taken before, so that no other program can take it meanwhile.

    A terminal sends Ctrl-C to every process of the command. A temporary server inherits that SIGINT is blocked, so it
    outlives the first one and the run can end in order. A kept one has a session of its own.

    Args:
        settings: Prefect's settings, as variables.
        auth: User and password that it wants, as user:password.
        home: Prefect's home.
        port: The port it had before; 0 for any.
        kept: Where it is written down, if it is to outlive this process.
        idle_s: How long it then waits for the next request.

    Raises:
        ServiceError: If the port is taken.
    """
    listening = socket.socket()
    # Appended to, because the server's watch empties it when it is long.
    log = kept.log.open("ab+", buffering=0) if kept else tempfile.TemporaryFile("ab+", buffering=0)  # noqa: SIM115
    log.truncate(0)
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServiceError(f"the port {port} of this machine is taken: {error.strerror}") from None
        port = listening.getsockname()[1]
        of_watch = ["--home", str(kept.folder), "--idle-s", str(idle_s)] if kept else ["--owner", str(os.getpid())]
        installed = str(Path(__file__).parents[2])
        command = [sys.executable, "-P", "-c", _PROGRAM, installed, "--fd", str(listening.fileno()), *of_watch]
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process = subprocess.Popen(  # noqa: S603 - our own command
                command, env=_environment(settings, port, kept is not None) | {_AUTH: auth, "PREFECT_HOME": str(home)},
                pass_fds=[listening.fileno()], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=kept is not None, cwd=kept.folder if kept else None,
            )  # fmt: skip
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return ServerProcess(process=process, port=port, log=log, home=home)


def _environment(settings: Mapping[str, str], port: int, kept: bool) -> dict[str, str]:
    if not kept:
        return {**os.environ, **_TEMPORARY, **settings, **_CLOSED}
    of_environment = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
    address = {"PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api"}
    everything = {**of_environment, **_KEPT, **settings, **_CLOSED, **address}
    return {name: value for name, value in everything.items() if name not in _OF_CLIENTS}


def end_process(process: psutil.Process) -> None:
    """End a server's process: politely, and after a while, or where it is stopped, not."""
    try:
        if process.status() != psutil.STATUS_STOPPED:
            process.terminate()
            process.wait(_END_WITHIN_S)
            return
    except psutil.TimeoutExpired:
        pass
    except psutil.Error:
        return
    try:
        process.kill()
        process.wait(_END_WITHIN_S)
    except psutil.Error:
        return
