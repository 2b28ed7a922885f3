"""What people see and do of the server that is kept for their next run: its status, its end, the address of its UI."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from flows.local_server.folder import KeptServer, ServerFolder
from flows.local_server.keep_setting import DEFAULT_MINUTES, kept_minutes
from flows.local_server.kept import status_of
from flows.local_server.pages import OPEN, TICKET
from flows.local_server.process import end_process
from flows.local_server.server import LocalServer, prefect_home
from rageval.errors import ConfigError, ServiceError

_PATIENCE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class KeptStatus:
    """A server that is kept, and lives."""

    address: str
    pid: int
    prefect: str
    since: datetime
    memory_bytes: int
    runs: int
    """Processes that use it."""
    idle_s: float | None
    """Since the last request; None if it does not answer."""
    ends_after_s: float | None
    log: Path


def kept_status() -> KeptStatus | None:
    """Return the status of the server that is kept for this user and this home of Prefect's, if there is one."""
    home, kept = _kept()
    process = kept.process() if kept else None
    if home is None or kept is None or process is None:
        return None
    said = status_of(kept, _PATIENCE_S) or {}
    return KeptStatus(
        address=kept.address,
        pid=kept.pid,
        prefect=kept.prefect,
        since=datetime.fromtimestamp(kept.created, UTC),
        memory_bytes=process.memory_info().rss,
        runs=sum(1 for _ in home.clients(alive=True)),
        idle_s=said.get("idle_s"),
        ends_after_s=said.get("ends_after_s"),
        log=home.log,
    )


def end_kept(*, force: bool) -> bool:
    """End the server that is kept, and return whether there was one.

    Args:
        force: Also if a run uses it.

    Raises:
        ConfigError: If a run uses it.
    """
    home, kept = _kept()
    process = kept.process() if kept else None
    if home is None or process is None:
        return False
    runs = sum(1 for _ in home.clients(alive=True))
    if runs and not force:
        raise ConfigError(
            f"{runs} process{'es use' if runs > 1 else ' uses'} the server; wait until they have ended. With --force "
            "it is ended now, and they start it again"
        )
    home.forget()
    end_process(process)
    return True


def ui_address() -> str:
    """Return an address that opens the UI of the kept server with its password, once and within a minute.

    One is started if there is none.

    Raises:
        ServiceError: If it does not answer, or cannot be started.
    """
    kept = _running()
    try:
        answer = httpx.post(
            f"{kept.address}{TICKET}", auth=httpx.BasicAuth(*kept.auth.split(":", 1)), trust_env=False, timeout=30.0
        )
        ticket = answer.raise_for_status().json()["ticket"]
    except (httpx.HTTPError, ValueError, KeyError):
        raise ServiceError(
            f"Prefect's local server at {kept.address} does not answer; `rageval server stop --force` ends it"
        ) from None
    return f"{kept.address}{OPEN}?ticket={ticket}"


def kept_variables() -> dict[str, str]:
    """Return the variables by which Prefect's own commands use the kept server; one is started if there is none."""
    kept = _running()
    return {"PREFECT_API_URL": f"{kept.address}/api", "PREFECT_API_AUTH_STRING": kept.auth}


def _kept() -> tuple[ServerFolder | None, KeptServer | None]:
    home = ServerFolder.of(prefect_home())
    return home, home.kept() if home else None


def _running() -> KeptServer:
    """Return the kept server, found as a run finds it.

    Raises:
        ServiceError: If there is none, and none can be kept.
    """
    server = LocalServer(prefect_home(), (kept_minutes() or DEFAULT_MINUTES) * 60)
    try:
        server.begin(lambda message: None)
        server.ready(lambda message: None)
        _, kept = _kept()
    finally:
        server.close()
    if not server.is_kept or kept is None:
        raise ServiceError(
            "another process uses a server that does not answer, or is of another version; wait until it has ended, or "
            "end the server with `rageval server stop --force`"
        )
    return kept
