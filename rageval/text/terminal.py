"""Terminals that cannot show every character: a code page of Windows, Latin-1, ASCII; and those that obey some."""

import sys
import traceback
from collections.abc import Iterable
from io import TextIOWrapper
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment

from rageval.text.printable import printable


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


class _SafeConsole(Console):
    """A console that obeys its own escapes alone, whatever is printed: titles, tables, panels, the names of models."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield what is shown."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


console = _SafeConsole()


def plain(text: str) -> str:
    """Return text that a terminal shows as it is: no markup, and no control characters that a model wrote."""
    return escape(printable(text))


def print_line(words: str) -> None:
    """Print words as one line, which a log does not wrap."""
    console.print(plain(words), highlight=False, soft_wrap=True)
