"""A system that is a Python function, called in a process of its own: its imports, crashes and prints stay there."""

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import orjson

from rageval.config.own_systems import OwnSystemConfig, own_settings
from rageval.engine.faults import RefusedRequestError, TransientError
from rageval.engine.replies import Completion
from rageval.engine.requests import ChatRequest
from rageval.errors import ConfigError, RequestFailedError
from rageval.safety.allowances import check_code
from rageval.safety.server_message import quoted
from rageval.safety.variables import filled_in
from rageval.systems.own_replies import UnusableReplyError, completion_of
from rageval.systems.system import OwnSystem

_LONGEST_LINE: Final = 20_000_000
_START_S: Final = 120.0
_KEPT: Final = 4000
"""The last characters of what the process has printed, kept to explain its end."""


@dataclass(frozen=True, kw_only=True)
class PythonSystem(OwnSystem):
    """A function of its user's own."""

    @property
    def endpoint(self) -> str:
        """The function."""
        return self.settings.function

    @property
    def caller(self) -> "FunctionCaller":
        """Its settings."""
        return FunctionCaller(settings=self.settings)


@dataclass(frozen=True, kw_only=True)
class FunctionCaller:
    """The settings of a function as the engine needs them."""

    settings: OwnSystemConfig

    @property
    def identity(self) -> str:
        """Everything that a reply depends on, the function's own code apart."""
        return orjson.dumps(own_settings(self.settings), option=orjson.OPT_SORT_KEYS).decode()

    @property
    def address(self) -> str:
        """The function: its limits hold for all systems that call it."""
        return f"python:{self.settings.function_folder}:{self.settings.function}"

    @property
    def url(self) -> str:
        """The function."""
        return self.settings.function

    def connect(self) -> "FunctionTransport":
        """Return what calls the function, in a process that is started with the first call.

        Raises:
            ConfigError: If the run may not run it, or there is no such folder or file.
        """
        settings = self.settings
        check_code(settings.function)
        for code in (settings.function_folder, settings.interpreter):
            if code:
                check_code(code)
        folder = Path(filled_in(settings.function_folder) or ".").resolve()
        if not folder.is_dir():
            raise ConfigError(f"the folder {folder} of the function {settings.function} does not exist; correct it")
        where = settings.function.rpartition(":")[0]
        if where.endswith(".py") and not (folder / where).is_file():
            raise ConfigError(f"the function {settings.function}: there is no file {folder / where}; correct its path")
        return FunctionTransport(caller=self, folder=folder)

    def redact(self, text: str) -> str:
        """Return the text: nothing secret is sent."""
        return text


@dataclass(kw_only=True)
class _Worker:
    """One process, and the calls that it has not answered."""

    process: asyncio.subprocess.Process
    waiting: dict[int, asyncio.Future[Any]] = field(default_factory=dict)
    printed: bytearray = field(default_factory=bytearray)
    readers: list[asyncio.Task[None]] = field(default_factory=list)
    is_spent: bool = False
    """Whether a call of it has not ended in its time: it gets no more of them, and ends with the last one."""

    @property
    def last_line(self) -> str:
        """What it has printed last."""
        lines = self.printed.decode("utf-8", "replace").strip().splitlines()
        return quoted(lines[-1], str) if lines else "it printed nothing"

    _is_killed: bool = False

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


@dataclass(kw_only=True)
class FunctionTransport:
    """The processes that call a function: one, and after a call that did not end another one."""

    caller: FunctionCaller
    folder: Path
    _worker: _Worker | None = None
    _all: list[_Worker] = field(default_factory=list)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _ids: "itertools.count[int]" = field(default_factory=itertools.count)

    async def check(self) -> None:
        """Load the function.

        Raises:
            ConfigError: If it cannot be.
        """
        await self._ready()

    async def close(self) -> None:
        """End all processes."""
        for worker in self._all:
            worker.kill()
            await worker.process.wait()
            for reader in worker.readers:
                reader.cancel()
            await asyncio.gather(*worker.readers, return_exceptions=True)

    async def send(self, request: ChatRequest) -> tuple[Completion, Mapping[str, str]]:
        """See `Transport`."""
        worker = await self._ready()
        *history, last = request.messages
        number = next(self._ids)
        line = {"id": number, "question": last["content"], "history": history, "metadata": dict(request.metadata)}
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        worker.waiting[number] = reply
        try:
            _stdin(worker).write(orjson.dumps(line) + b"\n")
            await _stdin(worker).drain()
            return self._read(await reply), {}
        except (ConnectionError, RuntimeError):
            raise TransientError(f"the process of the function has ended: {worker.last_line}") from None
        except asyncio.CancelledError:
            worker.is_spent = True  # its call goes on, and may never end
            if self._worker is worker:
                self._worker = None
            raise
        finally:
            worker.waiting.pop(number, None)
            worker.retire()

    def _read(self, reply: Mapping[str, Any]) -> Completion:
        if "error" in reply:
            raise RefusedRequestError(quoted(f"the function ended with {reply['error']}", self.caller.redact))
        try:
            return completion_of(reply.get("value"))
        except UnusableReplyError as error:
            raise RequestFailedError(f"what {self.caller.url} returned cannot be read: {error}") from None

    async def _ready(self) -> _Worker:
        async with self._starting:
            if self._worker is None or self._worker.process.returncode is not None:
                self._worker = await self._start()
                self._all.append(self._worker)
            return self._worker

    async def _start(self) -> _Worker:
        settings = self.caller.settings
        script = str(files("rageval.systems") / "function_worker.py")
        python = filled_in(settings.interpreter) if settings.interpreter else sys.executable
        try:
            process = await asyncio.create_subprocess_exec(
                python, "-u", script, settings.function, str(self.folder), str(settings.max_concurrency),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                limit=_LONGEST_LINE, cwd=self.folder,
            )  # fmt: skip
        except OSError as error:
            raise ConfigError(
                f"the interpreter {settings.interpreter} of the function {settings.function} cannot be started "
                f"({error.strerror}); correct its path"
            ) from None
        worker = _Worker(process=process)
        worker.readers.append(asyncio.create_task(_keep_printed(worker)))
        await self._greeted(worker)
        worker.readers.append(asyncio.create_task(_hand_out(worker)))
        return worker

    async def _greeted(self, worker: _Worker) -> None:
        """Wait until the function is loaded.

        Raises:
            ConfigError: If it cannot be.
        """
        name = self.caller.settings.function
        try:
            async with asyncio.timeout(_START_S):
                line = await _stdout(worker).readline()
        except TimeoutError:
            worker.kill()
            raise ConfigError(f"the function {name} was not loaded within {_START_S:.0f} seconds") from None
        said = json.loads(line) if line else {"failed": f"its process ended: {worker.last_line}"}
        if "failed" in said:
            raise ConfigError(
                f"the function {name} cannot be loaded: {quoted(said['failed'], str)}; its imports are looked for in "
                f"{self.folder} and among the packages of {self.caller.settings.interpreter or sys.executable}"
            )


def _stdin(worker: _Worker) -> asyncio.StreamWriter:
    if worker.process.stdin is None:
        raise TypeError("the process has no input")
    return worker.process.stdin


def _stdout(worker: _Worker) -> asyncio.StreamReader:
    if worker.process.stdout is None:
        raise TypeError("the process has no output")
    return worker.process.stdout


async def _hand_out(worker: _Worker) -> None:
    """Give every reply to whoever waits for it; at the end of the process all others get that."""
    with contextlib.suppress(ValueError):  # a line that is longer than what is read
        while line := await _stdout(worker).readline():
            reply = json.loads(line)
            waiting = worker.waiting.get(reply["id"])
            if waiting and not waiting.done():
                waiting.set_result(reply)
    worker.kill()
    await worker.process.wait()
    for waiting in worker.waiting.values():
        if not waiting.done():
            waiting.set_exception(TransientError(f"the process of the function has ended: {worker.last_line}"))


async def _keep_printed(worker: _Worker) -> None:
    if worker.process.stderr is None:
        return
    while part := await worker.process.stderr.read(_KEPT):
        worker.printed += part
        del worker.printed[:-_KEPT]
