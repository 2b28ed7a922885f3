"""The server of a process for which none is configured: the one that is kept for its user, or a temporary one."""

import atexit
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast
from uuid import UUID

import filelock
import httpx
import prefect.context
import psutil
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.context import SettingsContext
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_CLIENT_CSRF_SUPPORT_ENABLED,
    get_current_settings,
)
from prefect.states import Crashed

from flows.local_server.clients import ClientMark, lost_flow_runs
from flows.local_server.folder import KeptServer, ServerFolder
from flows.local_server.kept import find_kept, fingerprint
from flows.local_server.process import ServerProcess, start_process
from flows.local_server.watchdog import ServerWatchdog
from rageval.errors import ServiceError

_LOCK_WAIT_S = 90.0
_LOST = (
    "Its process has ended without saying how: it was killed, or the machine went down. What it had finished is saved"
)


class LocalServer:
    """A server that this process uses, and sees to: one that dies under a run is started again where it was."""

    def __init__(self, home: Path, idle_s: float | None) -> None:
        """Make one that is not there yet.

        Args:
            home: Prefect's.
            idle_s: How long it waits for the next run, or None if it ends with this process.
        """
        self._home = home
        self._settings = get_current_settings().to_environment_variables(exclude_unset=True, include_secrets=True)
        self._fingerprint = fingerprint(self._settings)
        self._folder = ServerFolder.of(home)
        self._idle_s = idle_s if self._folder else None
        self._auth = f"rageval:{secrets.token_urlsafe(32)}"
        self._port = 0
        self._lock: filelock.BaseFileLock | None = None
        self._mark: ClientMark | None = None
        self._started: ServerProcess | None = None
        self._found: KeptServer | None = None
        self._watchdog = ServerWatchdog(self)
        self._waiting = threading.Lock()
        self._answered = False

    def begin(self, say: Callable[[str], None]) -> None:
        """Find a kept server, or start one without waiting for it.

        Args:
            say: Told what is waited for.
        """
        atexit.register(self.close)
        self._take_lock(say)
        if self._folder and self._idle_s is not None:
            self._found, may_keep = find_kept(self._folder, self._fingerprint)
            if not may_keep:
                self._idle_s = None
        if self._folder:
            with suppress(OSError):
                self._mark = ClientMark(self._folder)
        if self._found:
            self._auth, self._port = self._found.auth, self._found.port
            return
        say("Starting Prefect's server ...")
        self._start()

    def ready(self, say: Callable[[str], None]) -> None:
        """Wait until it answers, and let all clients of this process use it.

        Raises:
            ServiceError: If its process ends before; with the last that it said.
        """
        with self._waiting:
            if not self._answered:
                try:
                    self._wait_or_start_again(say)
                finally:
                    self._release()
                self._answered = True
                self._watchdog.start()
            self.use()
        self._end_lost()

    def use(self) -> None:
        """Let all clients of this process use it, with its password.

        Without one, whoever is on this machine, and every website that is open on it, could read and change runs.
        """
        context = SettingsContext.get()
        if context is None:
            raise RuntimeError("Prefect has settings as soon as it is imported")
        settings = context.settings.copy_with_update(
            {
                PREFECT_API_URL: self.api_url,
                PREFECT_API_AUTH_STRING: self._auth,
                PREFECT_CLIENT_CSRF_SUPPORT_ENABLED: False,  # every client would ask for a token that is not wanted
            }
        )
        # For every thread, also for those of Prefect that start later on: not only while a block lasts.
        prefect.context.GLOBAL_SETTINGS_CONTEXT = ours = context.model_copy(update={"settings": settings})
        if SettingsContext.get() is context:  # set for a block, which hides those of all threads
            SettingsContext.__var__.set(ours)

    @property
    def is_kept(self) -> bool:
        """Whether it goes on running for the next run."""
        return self._idle_s is not None

    @property
    def api_url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self._port}/api"

    @property
    def process(self) -> psutil.Process | None:
        """Its process, if that lives."""
        if self._started:
            return psutil.Process(self._started.process.pid) if self._started.process.poll() is None else None
        return self._found.process() if self._found else None

    def start_again(self) -> None:
        """Start one anew after the one that was used has died: at the same port, with the same password.

        Raises:
            ServiceError: If it does not start, or another program has taken the port.
        """
        self._take_lock(lambda message: None)
        try:
            other = self._folder.kept() if self._folder and self._idle_s is not None else None
            if other and other.process():
                if other.port == self._port:  # another run was first
                    self._started, self._found = None, other
                    return
                self._idle_s = None  # the one that was kept meanwhile stays that
            self._started = self._found = None
            self._start()
            self._wait(lambda message: None)
        finally:
            self._release()

    def note(self, flow_run: UUID) -> None:
        """Write down that a flow run of this process has begun."""
        if self._mark:
            self._mark.note(flow_run)

    def ended(self) -> None:
        """Say that the flow runs of this process have ended, and the server knows how."""
        if self._mark:
            self._mark.ended()

    def close(self) -> None:
        """Leave a kept server, and end a temporary one."""
        atexit.unregister(self.close)
        self._watchdog.stop()
        if self._started and (self._idle_s is None or self._lock):  # or a kept one that nobody has waited for
            self._started.end()
        self._started = None
        self._release()
        if self._mark:
            self._mark.remove()
            self._mark = None

    def _start(self) -> None:
        """Start one, and write it down before it answers: the run that comes after one that was killed ends it."""
        kept = self._folder if self._idle_s is not None else None
        self._started = start_process(
            self._settings, self._auth, self._home, port=self._port, kept=kept, idle_s=self._idle_s or 0.0
        )
        self._port = self._started.port
        if not kept:
            return
        with suppress(psutil.Error):  # it has ended already, which whoever waits for it says
            pid = self._started.process.pid
            kept.keep(
                KeptServer(
                    pid=pid,
                    created=psutil.Process(pid).create_time(),
                    port=self._port,
                    auth=self._auth,
                    prefect=prefect.__version__,
                    fingerprint=self._fingerprint,
                )
            )

    def _wait_or_start_again(self, say: Callable[[str], None]) -> None:
        """Wait for one that was started; one that ends before it answers may have been killed, or have met another.

        Two that set up one database at once get into each other's way, and the second start finds it set up.
        """
        if self._found:
            return
        if not self._started:  # an earlier wait has failed
            self._take_lock(say)
            self._start()
        try:
            self._wait(say)
        except ServiceError:
            self._port = 0
            self._start()
            self._wait(say)

    def _wait(self, say: Callable[[str], None]) -> None:
        started = cast(ServerProcess, self._started)
        try:
            started.answers(say)
        except BaseException:
            started.end()
            self._started = None
            if self._folder and self._idle_s is not None:
                self._folder.forget()
            raise

    def _take_lock(self, say: Callable[[str], None]) -> None:
        """Be the only one who starts a server in this home: two would set up its database at once."""
        if not self._folder:
            return
        lock = self._folder.lock(_LOCK_WAIT_S)
        try:
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                say("Waiting for Prefect's server, which another run starts ...")
                lock.acquire()
        except (filelock.Timeout, OSError):
            self._idle_s = None  # whatever the other one does: this one has a server of its own
            return
        self._lock = lock

    def _release(self) -> None:
        if self._lock:
            self._lock.release()
            self._lock = None

    def _end_lost(self) -> None:
        """Let runs whose processes were killed be crashed: they would be running for ever."""
        lost = lost_flow_runs(self._folder) if self._folder else []
        if not lost:
            return
        with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=lost))):
                if run.state and not run.state.is_final():
                    client.set_flow_run_state(run.id, Crashed(message=_LOST), force=True)


def prefect_home() -> Path:
    """Return the folder of Prefect's settings and of its local servers."""
    return get_current_settings().home.expanduser().absolute()
