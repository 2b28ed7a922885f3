"""A system that is a function of the program that evaluates: called in threads of this process."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rageval.engine.faults import RefusedRequestError
from rageval.engine.replies import Completion
from rageval.engine.requests import ChatRequest
from rageval.errors import ConfigError
from rageval.safety.server_message import quoted
from rageval.safety.urls import without_logins
from rageval.systems.function_worker import is_coroutine, returned, taken
from rageval.systems.python import FunctionCaller, arguments_of, completion_returned
from rageval.systems.system import OwnSystem


@dataclass(frozen=True, kw_only=True)
class CallableSystem(OwnSystem):
    """A function of this process."""

    function: Callable[..., Any] = field(compare=False)

    @property
    def endpoint(self) -> str:
        """What the function is called."""
        return self.settings.function

    @property
    def caller(self) -> "CallableCaller":
        """The function with its settings."""
        return CallableCaller(settings=self.settings, function=self.function, which=id(self.function))


@dataclass(frozen=True, kw_only=True)
class CallableCaller(FunctionCaller):
    """A function of this process as the engine needs it."""

    function: Callable[..., Any] = field(compare=False)
    which: int
    """What tells it from another function of the same name."""

    def connect(self) -> "CallableTransport":  # type: ignore[override]  # another kind of transport
        """Return what calls it.

        Raises:
            ConfigError: If it cannot be called with a question.
        """
        try:
            names = taken(self.function)
        except TypeError as error:
            raise ConfigError(f"the function {self.url} cannot be used: {error}") from None
        return CallableTransport(caller=self, names=names)


@dataclass(kw_only=True)
class CallableTransport:
    """Threads that call a function, one a call, so that one which never ends keeps no other; or its event loop."""

    caller: CallableCaller
    names: set[str]
    on_received: Callable[[bytes], None] | None = None

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """Where an async function lives: what blocks it must not keep the requests of others."""
        loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(loop,), name="rageval-function", daemon=True).start()
        return loop

    async def check(self) -> None:
        """Do nothing: it is there."""

    async def close(self) -> None:
        """End the event loop, if there is one; threads end with their calls."""
        if "_loop" in vars(self):
            self._loop.call_soon_threadsafe(self._loop.stop)

    def described(self, request: ChatRequest) -> str:
        """Return what the function is called."""
        del request
        return self.caller.url

    async def send(self, request: ChatRequest) -> tuple[Completion, Mapping[str, str]]:
        """See `Transport`."""
        known = arguments_of(request)
        arguments = {name: known[name] for name in self.names}
        try:
            value = returned(await self._value(known["question"], arguments))
        except Exception as error:  # noqa: BLE001 - it is one failed row
            said = f"the function ended with {type(error).__name__}: {error}"
            raise RefusedRequestError(quoted(said, without_logins)) from None
        return completion_returned(value, self.caller.url), {}

    async def _value(self, question: str, arguments: Mapping[str, Any]) -> Any:
        function = self.caller.function
        if is_coroutine(function):
            running = asyncio.run_coroutine_threadsafe(function(question, **arguments), self._loop)
            return await asyncio.wrap_future(running)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            try:
                value, error = function(question, **arguments), None
            except BaseException as raised:  # noqa: BLE001 - it is one failed row
                value, error = None, raised
            loop.call_soon_threadsafe(_settle, done, value, error)

        threading.Thread(target=work, name="rageval-call", daemon=True).start()
        return await done


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _settle(done: "asyncio.Future[Any]", value: Any, error: BaseException | None) -> None:
    if done.done():  # nobody waits any more
        return
    if error is None:
        done.set_result(value)
    elif isinstance(error, (StopIteration, SystemExit, KeyboardInterrupt)):  # a future takes no such thing
        done.set_exception(RuntimeError(f"{type(error).__name__}: {error}"))
    else:
        done.set_exception(error)
