"""Terminals that cannot show every character: a code page of Windows, Latin-1, ASCII; and those that obey some."""

import sys
import traceback
from io import TextIOWrapper
from types import TracebackType

from rageval.printable import printable


def show_what_can_be_shown() -> None:
    """Let stdout and stderr replace characters that they cannot show, instead of ending the command.

    A traceback of an error that nobody foresaw has none that the terminal would obey.
    """
    sys.excepthook = _show_traceback
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what else tests and notebooks put there takes every character
            stream.reconfigure(errors="replace")


def _show_traceback(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    sys.stderr.write(printable("".join(traceback.format_exception(kind, error, where))))
