"""A process that calls a function of somebody else's: its start, its calls, and its end."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import orjson

from rageval.config.own_systems import OwnSystemConfig
from rageval.errors import ConfigError
from rageval.safety.server_message import quoted
from rageval.safety.urls import without_logins
from rageval.safety.variables import filled_in

_LONGEST_LINE: Final = 20_000_000
_START_S: Final = 120.0
_LAST_WORDS_S: Final = 2.0
_KEPT: Final = 4000
"""The last characters of what the process has printed, kept to explain its end."""


@dataclass(kw_only=True, eq=False)
class FunctionProcess:
    """One process, and the calls that it has not answered."""

    process: asyncio.subprocess.Process
    is_async: bool = False
    """Whether its calls can be cancelled."""
    waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    cancelled: set[int] = field(default_factory=set)
    """Calls that it was told to cancel, and has not."""
    printed: bytearray = field(default_factory=bytearray)
    readers: list[asyncio.Task[None]] = field(default_factory=list)
    is_spent: bool = False
    """Whether a call of it has not ended in its time: it gets no more of them, and ends with the last one."""

    @property
    def last_line(self) -> str:
        """What it has printed last."""
        lines = self.printed.decode("utf-8", "replace").strip().splitlines()
        return quoted(lines[-1], without_logins) if lines else "it printed nothing"

    _is_killed: bool = False

    async def call(self, number: int, line: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what comes of one call.

        Raises:
            ConnectionError: If the process ends before.
        """
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting[number] = reply
        try:
            self.write({"id": number, **line})
            await _stdin(self).drain()
            found: Mapping[str, Any] = await reply
            return found
        except asyncio.CancelledError:
            self.cancel(number)
            raise
        finally:
            self.waiting.pop(number, None)
            reply.cancel()
            self.retire()

    def write(self, line: Mapping[str, Any]) -> None:
        """Send a line of JSON."""
        _stdin(self).write(orjson.dumps(line) + b"\n")

    def cancel(self, number: int) -> None:
        """Give a call up: only an async one ends by that, and only if it lets others work meanwhile."""
        self.is_spent = self.is_spent or not self.is_async or bool(self.cancelled)
        self.cancelled.add(number)
        self.write({"id": number, "cancel": True})

    def retire(self) -> None:
        """End it once nobody waits for it."""
        if self.is_spent and not self.waiting:
            self.kill()

    def kill(self) -> None:
        """End it at once; only the first call does anything, for another one may reap what asyncio waits for."""
        if not self._is_killed and self.process.returncode is None:
            self._is_killed = True
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    async def end(self) -> None:
        """End it, and wait for that."""
        self.kill()
        await self.process.wait()
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)

    async def printing_ended(self) -> None:
        """Wait until all is read that it has printed; to be called once it has ended, or is about to."""
        with contextlib.suppress(TimeoutError):  # a child of its own may hold the pipe
            async with asyncio.timeout(_LAST_WORDS_S):
                await asyncio.shield(self.readers[0])


async def start_process(settings: OwnSystemConfig, folder: Path) -> FunctionProcess:
    """Start a process and load the function in it.

    Args:
        settings: The function, and the Python that runs it.
        folder: Where its paths begin.

    Raises:
        ConfigError: If it cannot be started, or the function cannot be loaded.
    """
    script = str(files("rageval.systems") / "function_worker.py")
    python = filled_in(settings.interpreter) if settings.interpreter else sys.executable
    try:
        process = await asyncio.create_subprocess_exec(
            str(Path(python).expanduser()), "-u", script,
            settings.function, str(folder), str(settings.max_concurrency),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE, cwd=folder,
        )  # fmt: skip
    except OSError as error:
        raise ConfigError(
            f"the interpreter {settings.interpreter} of the function {settings.function} cannot be started "
            f"({error.strerror}); correct its path, which begins at {folder}"
        ) from None
    worker = FunctionProcess(process=process)
    worker.readers.append(asyncio.create_task(_keep_printed(worker)))
    try:
        await _greeted(worker, settings, folder)
    except BaseException:
        await worker.end()
        raise
    worker.readers.append(asyncio.create_task(_hand_out(worker)))
    return worker


async def _greeted(worker: FunctionProcess, settings: OwnSystemConfig, folder: Path) -> None:
    """Wait until the function is loaded."""
    name = settings.function
    try:
        async with asyncio.timeout(_START_S):
            line = await _stdout(worker).readline()
    except TimeoutError:
        raise ConfigError(f"the function {name} was not loaded within {_START_S:.0f} seconds") from None
    said = _greeting(line)
    if "failed" in said:
        await worker.printing_ended()
        why = said["failed"] or f"its process ended: {worker.last_line}"
        raise ConfigError(
            f"the function {name} cannot be loaded: {quoted(why, without_logins)}; its imports are looked for in "
            f"{folder} and among the packages of {settings.interpreter or sys.executable}"
        )
    worker.is_async = bool(said.get("is_async"))


def _greeting(line: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {"failed": ""}
    return said if isinstance(said, dict) else {"failed": ""}


def _stdin(worker: FunctionProcess) -> asyncio.StreamWriter:
    if worker.process.stdin is None:
        raise TypeError("the process has no input")
    return worker.process.stdin


def _stdout(worker: FunctionProcess) -> asyncio.StreamReader:
    if worker.process.stdout is None:
        raise TypeError("the process has no output")
    return worker.process.stdout


async def _hand_out(worker: FunctionProcess) -> None:
    """Give every reply to whoever waits for it; at the end of the process all others get that."""
    with contextlib.suppress(ValueError):  # a line that is longer than what is read, or is none of ours
        while line := await _stdout(worker).readline():
            reply = json.loads(line)
            worker.cancelled.discard(reply["id"])
            waiting = worker.waiting.get(reply["id"])
            if waiting and not waiting.done():
                waiting.set_result(reply)
    # It mostly ends by itself, and its status is worth knowing: to kill it now could reap it behind asyncio's back.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS_S):
            await worker.process.wait()
    worker.kill()
    await worker.process.wait()
    await worker.printing_ended()
    for waiting in worker.waiting.values():
        if not waiting.done():
            waiting.set_exception(ConnectionError())


async def _keep_printed(worker: FunctionProcess) -> None:
    if worker.process.stderr is None:
        return
    while part := await worker.process.stderr.read(_KEPT):
        worker.printed += part
        del worker.printed[:-_KEPT]
