"""Processes beside the test's own: a command that is done, one that runs until the block ends, and what they bring."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

Found = TypeVar("Found")
Command = Sequence[str | Path]
ROOT = Path(__file__).parents[1]
PATIENCE_S = 240.0
"""For anything that takes seconds on an idle machine."""


def done(command: Command, environment: Mapping[str, str], folder: Path = ROOT) -> str:
    """Run a command that has to succeed; returns what it prints."""
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@contextmanager
def running(
    log: Path, command: Command, *, environment: Mapping[str, str] | None = None, folder: Path = ROOT,
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:  # fmt: skip
    """Run a command that does not end by itself; it and its children end with the block."""
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=folder, env=environment, user=user,
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield process
        finally:
            _end(process)


def eventually(what: str, look: Callable[[], Found | None]) -> Found:
    """Return what `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    pytest.fail(f"{what} did not come within {PATIENCE_S:.0f} s")


def is_healthy(api: httpx.Client) -> bool:
    """Return whether a Prefect server answers."""
    try:
        return api.get("/health").is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    """Return a port of localhost that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: politely, and after a while not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    process.wait()
