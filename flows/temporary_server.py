"""Prefect's temporary server: started for this process, and waited for as long as the server's own process lives."""

import atexit
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import httpx
import prefect
import prefect.context
from prefect.context import SettingsContext
from prefect.logging import get_logger
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_HOME, get_current_settings

from rageval.errors import ServiceError
from rageval.safety.urls import without_logins

_ASK_EVERY_S = 0.1
_SAY_EVERY_S = 20.0
_ANSWER_WITHIN_S = 60.0
_KEPT_LINES = 400
_LONGEST = 300
_ENVIRONMENT = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
"""What Prefect gives its temporary servers."""
_CLOSED = {
    "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""No website that its user looks at may ask it anything, and it tells nobody that it runs."""
_log = get_logger("flows.server")


class TemporaryServer(SubprocessASGIServer):
    """Prefect's own class, which gives up after a time, and starts for ever anew what ends at once.

    Prefect keeps one instance for a process. As soon as this one is made, all of Prefect's clients use it.
    """

    say: Callable[[str], None] = _log.info
    """Told what is waited for."""
    _answered = False
    _auth = ""

    def protect(self) -> None:
        """Let the server take no requests but those of this process, whose clients all know its password.

        Otherwise whoever is on this machine, and every website that is open on it, could read and change runs.
        """
        context = SettingsContext.get()
        if context is None:
            raise RuntimeError("Prefect has settings as soon as it is imported")
        self._auth = f"rageval:{secrets.token_urlsafe(32)}"
        settings = context.settings.copy_with_update({PREFECT_API_AUTH_STRING: self._auth})
        # For every thread, also for those of Prefect that start later on: not only while a block lasts.
        prefect.context.GLOBAL_SETTINGS_CONTEXT = closed = context.model_copy(update={"settings": settings})
        if context is not SettingsContext.get():
            SettingsContext.__var__.set(closed)

    def start(self, timeout: int | None = None) -> None:
        """Start the server, unless it runs, and return as soon as it answers.

        Args:
            timeout: Left alone: how long a start takes says how busy the machine is.

        Raises:
            ServiceError: If its process ends before; with the last that it said.
        """
        if self.running:
            return
        self.running = True
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        try:
            process = self.server_process = self._run_uvicorn_command()
            atexit.register(self.stop)
            listener = threading.Thread(target=self._listen, args=(process.stdout,), name="prefect-server", daemon=True)
            listener.start()
            if not self._answers(process):
                listener.join()
                raise ServiceError(self._end(process.returncode))
        except BaseException:
            self.stop()
            raise
        self._answered = True

    def stop(self) -> None:
        """End the server; what it says of its end is told to nobody."""
        self._answered = False
        super().stop()

    def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
        """Start its process, at a port that is taken before, so that no other program can take it meanwhile.

        A terminal sends Ctrl-C to every process of the command. The server inherits that SIGINT is blocked, so it
        outlives the first one and the run can end in order.
        """
        settings = get_current_settings().to_environment_variables(exclude_unset=True)
        closed = _CLOSED | ({"PREFECT_SERVER_API_AUTH_STRING": self._auth} if self._auth else {})
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", self.port or 0))
            self.port = listening.getsockname()[1]
            command = [
                sys.executable, "-m", "uvicorn", "--app-dir", str(prefect.__module_path__.parent),
                "--factory", "prefect.server.api.server:create_app", "--fd", str(listening.fileno()),
                "--log-level", "error", "--lifespan", "on",
            ]  # fmt: skip
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                return subprocess.Popen(  # noqa: S603 - our own command
                    command, env={**os.environ, **_ENVIRONMENT, **settings, **closed}, pass_fds=[listening.fileno()],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
                )  # fmt: skip
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _listen(self, output: IO[str]) -> None:
        """Keep what the server says while it starts, and what it says afterwards for those who debug it.

        A busy one reports each locked database with a traceback, and tries again.
        """
        with output:
            for line in output:
                if self._answered:
                    _log.debug("%s", line.rstrip())
                else:
                    self._said.append(line.rstrip())

    def _answers(self, process: subprocess.Popen[Any]) -> bool:
        """Wait until the server answers, and return True, or until its process has ended."""
        started = said = time.monotonic()
        self.say("Starting Prefect's server ...")
        # Whatever proxy the environment names, it does not know this machine's loopback.
        with httpx.Client(trust_env=False, timeout=_ANSWER_WITHIN_S) as client:
            while process.poll() is None:
                try:
                    if client.get(f"{self.api_url}/health").is_success:
                        return True
                except httpx.TransportError:
                    pass
                if (now := time.monotonic()) - said > _SAY_EVERY_S:
                    said = now
                    self.say(
                        f"Starting Prefect's server, for {now - started:.0f} s now: its first start sets up a database "
                        f"in {_home()}, which takes minutes on a busy machine ..."
                    )
                time.sleep(_ASK_EVERY_S)
        return False

    def _end(self, status: int) -> str:
        """Return in words how the server ended: its error stands in the last line that looks like one."""
        lines = [line for line in self._said if line.strip()]
        errors = [line for line in lines if re.match(r"[A-Za-z_][\w.]*: \S", line)]
        last = next(reversed(errors or lines), "it said nothing")
        return (
            f"Prefect's temporary server ended while it started, with exit status {status}: "
            f"{without_logins(last)[:_LONGEST]}. It needs a folder that it can write to, PREFECT_HOME (now "
            f"{_home()}), and the database in it or that of PREFECT_SERVER_DATABASE_CONNECTION_URL; `prefect server "
            "start` shows all that it says"
        )


def _home() -> Path:
    return cast(Path, PREFECT_HOME.value())
