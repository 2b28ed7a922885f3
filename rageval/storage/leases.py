"""A lock that is an object: a lease with an end, renewed while its holder lives.

    <name>/000001      who holds it, and until when

Leases are numbered, and the one with the highest number counts. Each is written only if there is none of its number,
so of several processes that see a free lease, or one that has ended, one gets the next number. The holder renews it
from a thread of its own, and removes it at the end. After the death of a holder it ends by itself.

Ends are times of day: the clocks of the machines that share a store have to agree to within a few seconds.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from secrets import token_hex

import filelock

from rageval.errors import RunLockedError, RunStoppedError
from rageval.storage.files import cannot_write
from rageval.storage.places import Place, StorePath

LEASE_S = 60.0
"""Seconds after which the lease of a dead process ends."""
_RENEWALS = 4
"""Times that a lease is renewed before it would end."""
_POLL_S = 0.25


@dataclass(frozen=True, kw_only=True)
class _Lease:
    token: str
    holder: str
    """Machine and process, for people."""
    ends_at: float
    """Seconds since 1970."""


@contextmanager
def lease(path: StorePath, *, lease_s: float = LEASE_S, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lease of that name while the block runs.

    Args:
        path: Name of the lease, which is the folder of its objects.
        lease_s: Seconds after which it ends unless it is renewed, above 0.
        wait_s: Seconds that another holder is waited for.

    Raises:
        RunLockedError: If another process holds it; the message says who and until when.
        RunStoppedError: If the store cannot be used, or another process has taken the lease over meanwhile, because it
            could not be renewed in time.
    """
    token = token_hex(8)
    mine = _acquire(path, token, lease_s, time.monotonic() + wait_s)
    ended, lost = threading.Event(), threading.Event()
    renewing = threading.Thread(
        target=_renew, args=(path, mine, token, lease_s, ended, lost), name=f"lease-{path.name}", daemon=True
    )
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with suppress(RunStoppedError):  # then it ends by itself
            if _is_held(path, token):
                mine.unlink(missing_ok=True)
            else:
                lost.set()
    if lost.is_set():
        raise RunStoppedError(
            f"{path.parent}: another process has taken the run over, because this one could not renew its lease for "
            f"{lease_s:g} s; what both have stored is there. Start the run again once the other has ended"
        )


@contextmanager
def exclusive(path: Place, *, wait_s: float = 60.0) -> Iterator[None]:
    """Hold the lock of a file while the block runs: `.<name>.lock` beside it, of whichever kind its folder has.

    Raises:
        RunLockedError, RunStoppedError: See `lease`; the latter also if nothing can be written to the folder.
        filelock.Timeout: If another process of this machine held it all the time.
    """
    beside = path.with_name(f".{path.name}.lock")
    if isinstance(beside, StorePath):
        with lease(beside, wait_s=wait_s):
            yield
    else:
        lock = filelock.FileLock(beside, timeout=wait_s)
        try:
            beside.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout:
            raise
        except OSError as error:
            raise cannot_write(beside.parent, error) from error
        try:
            yield
        finally:
            lock.release()


def _acquire(path: StorePath, token: str, lease_s: float, deadline: float) -> StorePath:
    while True:
        try:
            return _try(path, token, lease_s)
        except RunLockedError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_POLL_S)


def _try(path: StorePath, token: str, lease_s: float) -> StorePath:
    """Take the number after the highest, and return its object.

    Raises:
        RunLockedError: If another process holds the lease, or was quicker.
    """
    there = _numbers(path)
    if there and (held := _read(there[max(there)])) and held.ends_at > time.time():
        raise _locked(held)
    mine = path / f"{max(there, default=0) + 1:06d}"
    created = mine.create(_content(token, lease_s))
    # A store that does not know conditional writes lets both write; one of them reads the other's words then.
    stands = _read(mine)
    if not created or stands is None or stands.token != token:
        raise _locked(stands)
    newer = _numbers(path)
    if (highest := newer.get(max(newer, default=0))) and highest != mine:
        mine.unlink(missing_ok=True)
        raise _locked(_read(highest))
    for ended in there.values():
        ended.unlink(missing_ok=True)
    return mine


def _renew(
    path: StorePath, mine: StorePath, token: str, lease_s: float, ended: threading.Event, lost: threading.Event
) -> None:
    while not ended.wait(lease_s / _RENEWALS):
        try:
            if not _is_held(path, token):
                lost.set()
                return
            mine.write_bytes(_content(token, lease_s))
        except RunStoppedError:
            continue  # what the run itself reads and writes says so; this tries again until the store is back


def _is_held(path: StorePath, token: str) -> bool:
    """Return whether the lease that counts is the one with this token."""
    there = _numbers(path)
    stands = _read(there[max(there)]) if there else None
    return stands is not None and stands.token == token


def _numbers(path: StorePath) -> dict[int, StorePath]:
    """Return the objects of a lease by number."""
    return {int(place.name): place for place in path.glob("*") if place.name.isdecimal()}


def _read(path: StorePath) -> _Lease | None:
    """Return what a lease says, or None if it is gone or unreadable, which is one that has ended."""
    try:
        return _Lease(**json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _content(token: str, lease_s: float) -> bytes:
    holder = f"{socket.gethostname()}, process {os.getpid()}"
    return json.dumps(asdict(_Lease(token=token, holder=holder, ends_at=time.time() + lease_s))).encode()


def _locked(held: _Lease | None) -> RunLockedError:
    if held is None:
        return RunLockedError("another process was quicker")
    left_s = max(0.0, held.ends_at - time.time())
    return RunLockedError(f"{held.holder}; if that has died, in {left_s:.0f} s nobody holds it any more")
