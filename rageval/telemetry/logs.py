"""`RAGEVAL_LOG_FORMAT=json`: what is logged, as one JSON object a line on stderr; keys are in none of them.

Every line has `time`, `level`, `logger` and `message`, and as far as they are known `run_id`, `stage`, `model` and
`chunk`, the names and ids of Prefect's flow run and task run, and `exception` with its traceback.
"""

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from rageval.errors import ConfigError
from rageval.text.printable import printable

FORMAT = "RAGEVAL_LOG_FORMAT"
"""The environment variable that names the format."""
_OF_PREFECT = ("flow_name", "flow_run_name", "flow_run_id", "task_name", "task_run_name", "task_run_id")
_LEVELS = {"rageval": logging.INFO, "prefect.flow_runs": logging.INFO, "prefect.task_runs": logging.INFO}
_PREFECT_JSON = {
    "PREFECT_LOGGING_FORMATTERS_JSON_CLASS": f"{__name__}.JsonLines",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_FORMATTER": "json",
}


class JsonLines(logging.Formatter):
    """Turns a log record into one line of JSON."""

    def __init__(self, *_: object) -> None:
        # Prefect's settings give a format to whatever formatter they name.
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, in ASCII and without its end."""
        from rageval.telemetry.tracing import doing  # noqa: PLC0415 - help must not wait for imports

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
    wanted = os.environ.get(FORMAT, "").strip().lower()
    if wanted not in {"", "text", "json"}:
        raise ConfigError(f"{FORMAT} must be text or json, found {wanted!r}")
    return wanted == "json"


class _ShownRecord(logging.LogRecord):
    """A record whose text obeys nobody: not its message, and not the errors of its traceback."""

    def getMessage(self) -> str:  # noqa: N802 - as logging has it
        """Return the message."""
        return printable(super().getMessage())

    @property
    def exc_text(self) -> str | None:
        """The traceback in words, which the first formatter that needs them leaves here for the others."""
        return self._exc_text

    @exc_text.setter
    def exc_text(self, text: str | None) -> None:
        self._exc_text = printable(text) if text else text


class TextLines(logging.Formatter):
    """Turns a log record into lines for people: those after the first are set in, so none passes for a record."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines."""
        return super().format(record).replace("\n", "\n    ")


def log_what_can_be_shown() -> None:
    """Log no character from here on that a terminal obeys, whoever logs it and in whatever format.

    What is logged repeats ids, headers, names of settings and words of servers.
    """
    logging.setLogRecordFactory(_ShownRecord)


def log_as_wanted() -> None:
    """Log what can be shown, and JSON lines on stderr from here on, if they are wanted and nothing does it yet.

    It is for the process of one flow run, which a worker has started: what follows the run is logged alike.

    Raises:
        ConfigError: See `wants_json`.
    """
    log_what_can_be_shown()
    if not wants_json():
        return
    if not any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers):
        _install(sys.stderr)
    _set_levels(_LEVELS)


def let_prefect_log_as_wanted() -> None:
    """Let Prefect log JSON lines, if they are wanted, in this process and in all that it starts.

    It has to come before Prefect is imported: Prefect reads these variables then, and only then.

    Raises:
        ConfigError: See `wants_json`.
    """
    if wants_json():
        os.environ.update(_PREFECT_JSON)


@contextmanager
def json_lines(stream: TextIO) -> Iterator[None]:
    """Write what we and Prefect log in this process, and warnings of everybody, to a stream and nowhere else on it."""
    levels = {name: logging.getLogger(name).level for name in _LEVELS}
    handler = _install(stream)
    _set_levels(_LEVELS)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        _set_levels(levels)


def _install(stream: TextIO) -> logging.Handler:
    """Put JSON lines in the place of whatever writes text."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    for log in [root, logging.getLogger("prefect"), *map(logging.getLogger, _LEVELS)]:
        for old in [old for old in log.handlers if isinstance(old, logging.StreamHandler)]:
            log.removeHandler(old)
    root.addHandler(handler)
    return handler


def _set_levels(levels: Mapping[str, int]) -> None:
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
