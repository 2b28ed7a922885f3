"""A function of somebody else's, called in a process of its own: questions come as lines of JSON, answers go as such.

It is run as a file, by any Python from 3.9 on that has the function's packages, and imports nothing of ours.

    python function_worker.py REFERENCE FOLDER CALLS
"""

import asyncio
import dataclasses
import importlib
import importlib.util
import inspect
import json
import os
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Callable  # noqa: UP035 - Python 3.9 has it in both

OPTIONAL = ("history", "metadata", "conversation")
"""What a function is given beside the question if it takes it."""
LONGEST = 10_000_000
"""Characters of what one call may return."""
_OURS = ("deployments", "flows", "serving", "tasks")
"""Packages that stand beside ours where it is installed, and whose names others use, too."""


def load(reference: str, folder: str) -> Callable[..., Any]:
    """Return the function; imports look in its folder first."""
    where, _, name = reference.rpartition(":")
    sys.path[:] = [folder, *(entry for entry in sys.path if entry != str(Path(__file__).parent))]
    _own_folders_first(Path(folder), where.partition(".")[0])
    if where.endswith(".py"):
        path = Path(folder) / where
        sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no file of Python")
        loaded: Any = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = loaded
        spec.loader.exec_module(loaded)
    else:
        loaded = importlib.import_module(where)
    for part in name.split("."):
        loaded = getattr(loaded, part)
    if not callable(loaded):
        raise TypeError(f"{name} is no function but {type(loaded).__name__}")
    found: Callable[..., Any] = loaded
    return found


def _own_folders_first(folder: Path, wanted: str) -> None:
    """Let a folder without `__init__.py` be found before a package of the same name that is installed."""
    for name in (*_OURS, wanted):
        path = folder / name
        if name and path.is_dir() and not (path / "__init__.py").is_file():
            package = ModuleType(name)
            package.__path__ = [str(path)]
            sys.modules[name] = package


def plain(value: Any) -> Any:
    """Return what JSON can hold of a value: mappings, dataclasses, models, documents of frameworks, texts, numbers."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    for name in ("model_dump", "to_dict", "tolist"):  # of pydantic, of frameworks, of NumPy
        if callable(convert := getattr(value, name, None)) and not isinstance(value, type):
            return plain(convert())
    if hasattr(value, "__dict__"):
        return {name: plain(item) for name, item in vars(value).items() if not name.startswith("_")}
    return str(value)


def returned(value: Any) -> Any:
    """Return the same for what a function returned: a text that only describes an object must not pass for an answer.

    Raises:
        TypeError: If it is a generator, a number, or something else that holds no answer.
    """
    made = plain(value)
    if (isinstance(made, dict) and made) or isinstance(value, str):
        return made
    raise TypeError(f"it returned {type(value).__name__}; expected a text, a mapping or a rageval.Answer")


def taken(function: Callable[..., Any]) -> "set[str]":
    """Return which of the optional arguments a function takes.

    Raises:
        TypeError: If it cannot be called with a question and these.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # of one that is written in C
        return set()
    parameters = signature.parameters.values()
    every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    names = {name for name in OPTIONAL if every or name in named}
    try:
        signature.bind("", **dict.fromkeys(names))
    except TypeError as error:
        raise TypeError(f"it cannot be called with a question: {error}") from None
    return names


def is_coroutine(function: Callable[..., Any]) -> bool:
    """Return whether a function, or an object that is called, is async."""
    call = getattr(function, "__call__", None)  # noqa: B004 - the method, if it is an object
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


class Calls:
    """The calls of one function that are under way, on one event loop."""

    def __init__(self, function: Callable[..., Any], calls: int, out: BinaryIO) -> None:
        self._function = function
        self._names = taken(function)
        self.is_async = is_coroutine(function)
        """Whether a call can be cancelled."""
        self._threads = ThreadPoolExecutor(calls)
        self._out = out
        self._running: dict[int, asyncio.Task[None]] = {}

    def take(self, line: bytes) -> None:
        """Start the call that a line asks for, or cancel one."""
        asked = json.loads(line)
        number = asked["id"]
        if not asked.get("cancel"):
            self._running[number] = asyncio.get_running_loop().create_task(self._one(asked))
        elif (task := self._running.get(number)) is not None:
            task.cancel()

    async def _one(self, asked: "dict[str, Any]") -> None:
        number = asked["id"]
        try:
            text = json.dumps({"id": number, "value": returned(await self._value(asked))})
            if len(text) > LONGEST:
                raise ValueError(f"it returned {len(text):,} characters; at most {LONGEST:,} are read")
        except asyncio.CancelledError:
            text = json.dumps({"id": number, "error": "CancelledError"})
        except BaseException as error:  # noqa: BLE001 - a call that calls sys.exit, too, is a failed row and no more
            frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename != __file__]
            where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
            text = json.dumps({"id": number, "error": f"{type(error).__name__}: {error}{where}"})
        finally:
            self._running.pop(number, None)
        self._out.write(text.encode() + b"\n")
        self._out.flush()

    async def _value(self, asked: "dict[str, Any]") -> Any:
        arguments = {name: asked[name] for name in self._names}
        if self.is_async:
            return await self._function(asked["question"], **arguments)
        loop = asyncio.get_running_loop()
        value = await loop.run_in_executor(self._threads, lambda: self._function(asked["question"], **arguments))
        return await value if inspect.isawaitable(value) else value


async def serve(calls: Calls, lines: "InputLines") -> None:
    """Answer for ever: the process ends with its input."""
    lines.hand_to(asyncio.get_running_loop(), calls.take)
    await asyncio.Event().wait()


class InputLines:
    """The lines of the input, read by a thread: when they end, so does the process, whatever its calls are at."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._ready = threading.Event()
        self._loop: Any = None
        self._take: Any = None
        threading.Thread(target=self._read, daemon=True).start()

    def hand_to(self, loop: asyncio.AbstractEventLoop, take: "Callable[[bytes], None]") -> None:
        """Give every line to a function on an event loop from now on."""
        self._loop, self._take = loop, take
        self._ready.set()

    def _read(self) -> None:
        for line in self._source:
            self._ready.wait()
            self._loop.call_soon_threadsafe(self._take, line)
        os._exit(0)


def main() -> None:
    """Load the function, say so, and answer."""
    reference, folder, calls = sys.argv[1:4]
    out, source = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # whatever the function prints goes elsewhere
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # and what it reads is not what it is asked
    lines = InputLines(source)
    try:
        made = Calls(load(reference, folder), int(calls), out)
    except BaseException as error:  # noqa: BLE001 - told to whoever started this
        out.write(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        out.flush()
        os._exit(1)
    out.write(json.dumps({"ready": True, "is_async": made.is_async}).encode() + b"\n")
    out.flush()
    asyncio.run(serve(made, lines))


if __name__ == "__main__":
    main()
