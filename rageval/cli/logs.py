"""How a command says what has ended it: a sentence in red, or a line of JSON where logs are."""

import logging
import os
import sys

import typer

from rageval.errors import RagevalError
from rageval.telemetry.logs import FORMAT, JsonLines


def say_error(error: RagevalError) -> None:
    """Say on stderr what has ended a command, in the format that logs have."""
    if os.environ.get(FORMAT, "").strip().lower() != "json":
        typer.secho(f"Error: {error}", fg="red", err=True)
        return
    record = logging.LogRecord("rageval", logging.ERROR, __file__, 0, str(error), None, None)
    print(JsonLines().format(record), file=sys.stderr)
