"""`RAGEVAL_LOG_FORMAT=json`: what is logged, as one JSON object a line on stderr; keys are in none of them.

Every line has `time`, `level`, `logger` and `message`, and as far as they are known `run_id`, `stage`, `model` and
`chunk`, the names and ids of Prefect's flow run and task run, and `exception` with its traceback.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import typer

from rageval.errors import ConfigError, RagevalError

_FORMAT = "RAGEVAL_LOG_FORMAT"
_OF_PREFECT = ("flow_name", "flow_run_name", "flow_run_id", "task_name", "task_run_name", "task_run_id")
_LEVELS = {"rageval": logging.INFO, "prefect.flow_runs": logging.INFO, "prefect.task_runs": logging.INFO}


class JsonLines(logging.Formatter):
    """Turns a log record into one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in ASCII and without its end."""
        from rageval.adapters.tracing import doing  # noqa: PLC0415 - help must not wait for imports

        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **doing(),
        }
        line |= {name: str(value) for name in _OF_PREFECT if (value := getattr(record, name, None))}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def wants_json() -> bool:
    """Return whether logs are to be JSON lines.

    Raises:
        ConfigError: If the variable holds anything but `text`, `json` or nothing.
    """
    wanted = os.environ.get(_FORMAT, "").strip().lower()
    if wanted not in {"", "text", "json"}:
        raise ConfigError(f"{_FORMAT} must be text or json, found {wanted!r}")
    return wanted == "json"


@contextmanager
def json_lines(stream: TextIO) -> Iterator[None]:
    """Write what we and Prefect log in this process, and warnings of everybody, to a stream and nowhere else on it."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in _LEVELS}
    for log in [root, logging.getLogger("prefect"), *map(logging.getLogger, levels)]:
        for old in [old for old in log.handlers if isinstance(old, logging.StreamHandler)]:
            log.removeHandler(old)
    root.addHandler(handler)
    for name, level in _LEVELS.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def say_error(error: RagevalError) -> None:
    """Say on stderr what has ended a command, in the format that logs have."""
    if os.environ.get(_FORMAT, "").strip().lower() != "json":
        typer.secho(f"Error: {error}", fg="red", err=True)
        return
    record = logging.LogRecord("rageval", logging.ERROR, __file__, 0, str(error), None, None)
    print(JsonLines().format(record), file=sys.stderr)
