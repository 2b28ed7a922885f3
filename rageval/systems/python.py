"""A system that is a Python function, called in a process of its own: its imports, crashes and prints stay there."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from rageval.config.own_systems import OwnSystemConfig, own_settings
from rageval.engine.faults import RefusedRequestError, TransientError
from rageval.engine.replies import Completion
from rageval.engine.requests import ChatRequest
from rageval.errors import ConfigError
from rageval.safety.allowances import check_code
from rageval.safety.server_message import quoted
from rageval.safety.urls import without_logins
from rageval.safety.variables import filled_in
from rageval.systems.function_process import FunctionProcess, start_process
from rageval.systems.own_replies import UnusableReplyError, completion_of, unusable
from rageval.systems.system import OwnSystem


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
        """Return a text without the logins of URLs: nothing secret is sent, but exceptions tell of connections."""
        return without_logins(text)


@dataclass(kw_only=True)
class FunctionTransport:
    """The processes that call a function: one, and after a call that did not end another one."""

    caller: FunctionCaller
    folder: Path
    on_received: Callable[[bytes], None] | None = None
    _worker: FunctionProcess | None = None
    _all: set[FunctionProcess] = field(default_factory=set)
    _starting: asyncio.Task[FunctionProcess] | None = None
    _ids: "itertools.count[int]" = field(default_factory=itertools.count)
    _suspects: set[bytes] = field(default_factory=set)
    """Calls that were under way when a process ended: each is made once more in one of its own, so that what ends
    processes costs no other question its attempts."""
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def check(self) -> None:
        """Load the function.

        Raises:
            ConfigError: If it cannot be.
        """
        await self._ready()

    async def close(self) -> None:
        """End all processes."""
        if self._starting:
            self._starting.cancel()
            (started,) = await asyncio.gather(self._starting, return_exceptions=True)
            if isinstance(started, FunctionProcess):  # nobody has had the time to wait for it
                self._all.add(started)
        for worker in self._all:
            await worker.end()

    def described(self, request: ChatRequest) -> str:
        """Return what the function is called with, as far as it takes it."""
        known = "\n".join(f"{name} = {orjson.dumps(value).decode()}" for name, value in arguments_of(request).items())
        return f"{self.caller.url}\n{known}"

    async def send(self, request: ChatRequest) -> tuple[Completion, Mapping[str, str]]:
        """See `Transport`."""
        line = arguments_of(request)
        key = orjson.dumps(line)
        if key in self._suspects:
            return await self._send_alone(line)
        worker = await self._ready()
        try:
            return self._read(await worker.call(next(self._ids), line)), {}
        except (ConnectionError, RuntimeError):
            self._suspects.add(key)
            raise self._ended(worker) from None
        finally:
            if worker.is_spent and self._worker is worker:
                self._worker = None

    async def _send_alone(self, line: Mapping[str, Any]) -> tuple[Completion, Mapping[str, str]]:
        """Make a call in a process of its own, one at a time."""
        async with self._alone:
            worker = await start_process(self.caller.settings, self.folder)
            try:
                return self._read(await worker.call(next(self._ids), line)), {}
            except (ConnectionError, RuntimeError):
                raise self._ended(worker) from None
            finally:
                await worker.end()

    def _ended(self, worker: FunctionProcess) -> TransientError:
        code = worker.process.returncode
        how = f"by signal {-code}" if code is not None and code < 0 else f"with status {code}"
        return TransientError(f"the process of the function ended {how}; its last output: {worker.last_line}")

    def _read(self, reply: Mapping[str, Any]) -> Completion:
        if self.on_received:
            self.on_received(orjson.dumps(reply.get("value", reply.get("error"))))
        if "error" in reply:
            raise RefusedRequestError(quoted(f"the function ended with {reply['error']}", self.caller.redact))
        return completion_returned(reply.get("value"), self.caller.url)

    async def _ready(self) -> FunctionProcess:
        """Return the process that gets the calls; a caller that has no time to wait for it lets it start."""
        while self._worker is None or self._worker.process.returncode is not None:
            self._starting = self._starting or asyncio.create_task(start_process(self.caller.settings, self.folder))
            starting = self._starting
            try:
                self._worker = await asyncio.shield(starting)
                self._all.add(self._worker)
            finally:
                if starting.done() and self._starting is starting:
                    self._starting = None
        return self._worker


def arguments_of(request: ChatRequest) -> dict[str, Any]:
    """Return what a function may be given, by name."""
    *history, last = request.messages
    return {
        "question": last["content"], "history": history, "metadata": dict(request.metadata),
        "conversation": request.conversation,
    }  # fmt: skip


def completion_returned(value: Any, name: str) -> Completion:
    """Return what a function has returned, as JSON holds it; an error in it is no reason to call it again.

    Args:
        value: It.
        name: What the function is called.
    """
    try:
        read = completion_of(value)
    except UnusableReplyError as error:
        return unusable(f"what {name} returned cannot be read: {error}")
    return unusable(f"the function returned an error: {read.fault.text}") if read.fault else read
