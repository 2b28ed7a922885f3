"""A flow that is run in this process -> Prefect started, how it goes shown, and Ctrl-C taken as a stop."""

import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from flows.folders import check_folders
from flows.starting import start_prefect, tagged
from rageval.cli.progress import display
from rageval.errors import RunStoppedError
from rageval.runs.run import Run
from rageval.telemetry.logs import json_lines, wants_json
from rageval.text.terminal import console, print_line

_OURS = {"tasks", "flows", "local_server"}


@contextmanager
def stop_on_ctrl_c(run: Run | None = None) -> Iterator[None]:
    """Let the first Ctrl-C end the run with everything saved, and the second one end it at once.

    Args:
        run: The run that its name resumes; None where the same command goes on.
    """

    from tasks.process import FlowWatcher, watching

    flow = FlowWatcher()

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        console.print("\nStopping; what is finished is being saved. Press Ctrl-C again to end at once.")
        flow.stop(RunStoppedError("it was interrupted"))

    before = signal.signal(signal.SIGINT, stop)
    try:
        with watching(flow):
            yield
    except KeyboardInterrupt:
        again = f"go on with --run-id {run.run_id}" if run else "the same command goes on"
        raise RunStoppedError(f"the run was interrupted. Everything finished is saved; {again}") from None
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def prefect_running(output: str | None, *, debug: bool, meanwhile: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Run a flow from here: Prefect's defaults for one process, and a display of what our own tasks say.

    Args:
        output: Folder or URL that the flow writes to, if it does.
        debug: Whether everything is shown that Prefect logs.
        meanwhile: Starts what can go on beside the start of a server.

    Raises:
        InputError: If Prefect's server cannot be used; see `flows.server.ready`.
        ConfigError: If a folder cannot be written that everything needs.
    """
    check_folders(output)
    if wants_json():
        with json_lines(sys.stderr):
            start_prefect(logging.getLogger("rageval").info, meanwhile)
        with json_lines(sys.stderr), tagged():  # Prefect has set up its own meanwhile
            yield
        return
    if debug:
        start_prefect(print_line, meanwhile)
        with tagged():
            yield
        return
    with console.status("Starting Prefect ...") as status:
        start_prefect(status.update if console.is_terminal else print_line, meanwhile)
    from tasks.process import FlowWatcher, watching

    with watching(FlowWatcher()) as flow, display(console, lambda: flow.counts) as say:
        handler = _OwnMessages(say)
        runs = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs", "prefect.flows")]
        loud = [logging.getLogger(), logging.getLogger("prefect"), *runs]
        for log in loud:
            for old in [old for old in log.handlers if isinstance(old, logging.StreamHandler)]:
                log.removeHandler(old)
        for log in runs:
            log.addHandler(handler)
        try:
            with tagged():
                yield
        finally:
            for log in runs:
                log.removeHandler(handler)


class _OwnMessages(logging.Handler):
    """Passes on what our tasks and flows log, and nothing of Prefect's own."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        if Path(record.pathname).parent.name in _OURS:
            self._say(record.getMessage())
