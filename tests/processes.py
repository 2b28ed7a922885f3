"""Processes beside the test's own: a command that is done, one that runs until the block ends, and what they bring."""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

Found = TypeVar("Found")
Command = Sequence[str | Path]
ROOT = Path(__file__).parents[1]
PATIENCE_S = 900.0
"""For anything that takes seconds on an idle machine; less than the time-out of a test, which would not say what it is
that does not come."""


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


def eventually(what: str, look: Callable[[], Found | None], of: "subprocess.Popen[Any] | None" = None) -> Found:
    """Return what `look` finds, as soon as it finds something; what comes of a process comes as long as it runs."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        if of is not None and of.poll() is not None:
            pytest.fail(f"{what} did not come, for the process has ended with {of.returncode}")
        time.sleep(0.2)
    pytest.fail(f"{what} did not come within {PATIENCE_S:.0f} s")


def is_healthy(api: httpx.Client, server: subprocess.Popen[bytes]) -> bool:
    """Return whether a Prefect server answers; it has to live."""
    assert server.poll() is None, f"the Prefect server has ended with status {server.returncode}"
    try:
        return api.get("/health").is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    """Return a port of localhost that nobody listens at.

    It is below those that systems hand out by themselves, so nobody is given it before it is listened at.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    pytest.fail("a hundred ports between 20000 and 32000 are all taken")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children: politely, and after a while not."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            break
    process.wait()
