"""How a flow ends: a final state, and a name, that say in words what happened.

Callers of the flow in the same process get the result itself, or the error raised: Prefect unwraps the state.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prefect._internal.control_listener import get_intent
from prefect.client.orchestration import get_client
from prefect.context import TagsContext
from prefect.exceptions import TerminationSignal
from prefect.runtime import deployment, flow_run
from prefect.states import Completed, Failed

from rageval.errors import RagevalError, RunStoppedError
from rageval.pipeline.allowed import check_allowed
from rageval.pipeline.pushgateway import gateway, pushed_metrics
from rageval.safety.proxies import reach_this_machine_directly
from rageval.telemetry.logs import log_as_wanted
from rageval.telemetry.tracing import export_spans
from tasks.process import watching

Result = TypeVar("Result")
_LONGEST_NAME = 300


def end_in_words(body: Callable[[], tuple[Result, str]]) -> Result:
    """Return what a flow returns to end in words: its body's result and message, or the text of an expected error.

    Every flow starts here, in whatever process, so what the environment says of proxies, logs, traces and metrics is
    followed from here.

    Args:
        body: Everything that the flow does; returns the flow's result and a sentence about it. Any error but a
            `RagevalError` goes through, with its traceback in the log, and so does a cancellation: Prefect has a state
            for it.
    """
    try:
        reach_this_machine_directly()
        log_as_wanted()
        export_spans()
        check_allowed(flow_run.parameters)
        # A run's tags are not its tasks': before a task with tags Prefect asks the server whether they are limited.
        with _metrics(), TagsContext(current_tags=set()):
            result, sentence = body()
        state: Any = Completed(message=sentence, data=result)
    except (RagevalError, TerminationSignal) as raised:
        error = as_stop(raised)
        if not isinstance(error, RagevalError):
            raise
        state = Failed(message=str(error), data=error)
        say_in_name(str(error))
    return state  # type: ignore[no-any-return]  # what the caller of the flow gets is the result


def as_stop(error: BaseException) -> BaseException:
    """Return an error as one that ends a run in order, if it is the SIGTERM of a machine or a service that stops.

    A SIGTERM that comes with a cancellation is left alone, and so is everything else.
    """
    if isinstance(error, TerminationSignal) and get_intent() is None:
        return RunStoppedError("its process was told to stop (SIGTERM), with its machine or whatever had started it")
    return error


@contextmanager
def _metrics() -> Iterator[None]:
    if not gateway():
        yield  # what Prefect is asked for below, it may have to ask its server for
        return
    with pushed_metrics(flow_run.flow_name or "", deployment.name or "") as metrics:
        if metrics is None:
            yield
            return
        with watching(metrics):
            yield


def say_in_name(words: str) -> None:
    """Add to the flow run's name what came out: it heads the run's page, where the state's message is below the fold.

    Args:
        words: What the name does not say yet, the most important first: the page shows about 75 characters.
    """
    name = f"{flow_run.name}: {' '.join(words.split())}"
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 1]}…"
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, name=name)
