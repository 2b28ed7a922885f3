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
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable  # noqa: UP035 - Python 3.9 has it in both


def load(reference: str, folder: str) -> Callable[..., Any]:
    """Return the function; imports look in its folder first."""
    where, _, name = reference.rpartition(":")
    sys.path[0] = folder
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
        raise TypeError(f"{name} is no function")
    found: Callable[..., Any] = loaded
    return found


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
    if callable(getattr(value, "model_dump", None)):
        return plain(value.model_dump())
    if callable(getattr(value, "to_dict", None)):
        return plain(value.to_dict())
    if hasattr(value, "item"):  # a number of NumPy
        return plain(value.item())
    if hasattr(value, "__dict__"):
        return {name: plain(item) for name, item in vars(value).items() if not name.startswith("_")}
    return str(value)


def taken(function: Callable[..., Any]) -> set[str]:
    """Return which of `history` and `metadata` a function takes."""
    parameters = inspect.signature(function).parameters.values()
    every = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return {name for name in ("history", "metadata") if every or name in {p.name for p in parameters}}


async def serve(function: Callable[..., Any], calls: int, out: Any) -> None:
    """Answer questions until there are no more; each call is on its own, and what one raises is its answer."""
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(calls)
    names = taken(function)
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object that is called, and is async itself
    )
    running = set()

    async def one(line: bytes) -> None:
        asked = json.loads(line)
        arguments = {name: asked[name] for name in names}
        try:
            if is_async:
                value = await function(asked["question"], **arguments)
            else:
                value = await loop.run_in_executor(pool, lambda: function(asked["question"], **arguments))
                if inspect.isawaitable(value):
                    value = await value
            reply = {"id": asked["id"], "value": plain(value)}
            text = json.dumps(reply)
        except BaseException as error:  # noqa: BLE001 - a call that calls sys.exit, too, is a failed row and no more
            frames = traceback.extract_tb(error.__traceback__)
            where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
            text = json.dumps({"id": asked["id"], "error": f"{type(error).__name__}: {error}{where}"})
        out.write(text.encode() + b"\n")
        out.flush()

    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        task = loop.create_task(one(line))
        running.add(task)
        task.add_done_callback(running.discard)
    os._exit(0)  # calls that never end would keep the process alive


def main() -> None:
    """Load the function, say so, and answer."""
    reference, folder, calls = sys.argv[1:4]
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the function prints goes elsewhere
    try:
        function = load(reference, folder)
    except BaseException as error:  # noqa: BLE001 - told to whoever started this
        out.write(json.dumps({"failed": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        out.flush()
        return
    out.write(b'{"ready": true}\n')
    out.flush()
    asyncio.run(serve(function, int(calls), out))


if __name__ == "__main__":
    main()
