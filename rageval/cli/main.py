"""The arguments of the command line -> a command that is called, and an exit status that says how it ended."""

import sys
import traceback
from errno import EACCES, EPERM, EROFS
from typing import Any

import typer

from rageval.cli.commands import EXIT_STATUS, CommandGroup
from rageval.cli.logs import say_error
from rageval.errors import GateFailedError, InputError, RagevalError, RunStoppedError
from rageval.safety.proxies import reach_this_machine_directly
from rageval.storage.private_files import private_files
from rageval.telemetry.logs import log_what_can_be_shown
from rageval.text.terminal import show_what_can_be_shown

app = typer.Typer(
    cls=CommandGroup, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich", epilog=EXIT_STATUS
)

_FAULT = 4
"""The status of what should not happen: Python's own for it is 1, by which a gate would be taken to have failed."""
_INTERRUPTED = 130
_TYPERS: dict[type[Any], Any] = {typer.Abort: _INTERRUPTED, BrokenPipeError: 141}
"""The statuses, as shells give them, of a prompt that is left and of a reader that has gone."""


@app.callback()
def rageval() -> None:
    """Evaluate a RAG system: documents, index, retrieval, answers, scores, report.

    Start with [bold]rageval evaluate examples/configs/demo.yaml[/bold], which needs no key and no server.
    """


def main() -> None:
    """Run the command line; every expected error is one sentence and an exit status."""
    sys.exit(_guarded())


def _guarded() -> int:
    show_what_can_be_shown()
    log_what_can_be_shown()
    reach_this_machine_directly()
    try:
        with private_files():
            app()
    except SystemExit as ended:
        # Typer's own status for these is that of a gate that failed.
        context = type(ended.__context__)
        raise SystemExit(_TYPERS.get(context, ended.code)) from None
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, its status must not be that of a gate
        expected, status = _expected(error)
        if expected is None or "--debug" in sys.argv:
            traceback.print_exc()
        else:
            say_error(expected)
        return status
    return 0


def _expected(error: Exception) -> tuple[RagevalError | None, int]:
    """Return what is said of an error, None if it is a fault of the program, and the exit status."""
    if isinstance(error, RagevalError):
        return error, _status(error)
    if isinstance(error, OSError) and error.errno in {EACCES, EPERM, EROFS} and error.filename:
        from rageval.storage.writable import not_allowed

        return not_allowed(error), 2
    prefect = sys.modules.get("prefect.exceptions")
    if prefect is not None and isinstance(error, prefect.FailedRun):
        # A server too busy to store how the flow ended gives back its message without its error.
        return RagevalError(str(error)), _FAULT
    return None, _FAULT


def _status(error: RagevalError) -> int:
    if isinstance(error, RunStoppedError):
        return 3
    if isinstance(error, GateFailedError):
        return 1
    return 2 if isinstance(error, InputError) else _FAULT


if __name__ == "__main__":
    main()
