"""The decorator of every flow: Prefect's own, and a call from Python waits for the server that it needs."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import httpx
from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from pydantic_core import to_jsonable_python

from flows.local_server.current import flow_runs_noted, note_flow_run
from flows.server import ready
from rageval.errors import RunStoppedError
from rageval.storage.private_files import keep_files_private, private_files
from rageval.telemetry.logs import log_what_can_be_shown

P = ParamSpec("P")
R = TypeVar("R")


class _CalledFlow(Flow[P, R]):
    """A flow that, called, sees to its server first; one that a worker starts has been told of by its server.

    Only Prefect's clients use httpx: models, object stores and search engines are asked with others.
    """

    def validate_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters as the flow takes them; what Prefect logs of those that are none can be shown."""
        log_what_can_be_shown()
        return super().validate_parameters(parameters)

    def serialize_parameters(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the parameters as the server keeps them: settings and plain values, for which FastAPI is not needed.

        Prefect imports it for the same, which takes a tenth of a second.
        """
        serialized: dict[str, Any] = to_jsonable_python(parameters)
        return serialized

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if FlowRunContext.get():
            return super().__call__(*args, **kwargs)
        try:
            with private_files():
                ready()
                with flow_runs_noted():
                    return super().__call__(*args, **kwargs)
        except httpx.TransportError as error:
            raise RunStoppedError(
                f"Prefect's server has stopped answering ({type(error).__name__}: {error}). Everything finished is "
                "saved; see to the server, and the same command goes on"
            ) from error


def flow(**options: Any) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Return a decorator that makes a function a flow.

    Args:
        options: Those of `prefect.flow`.
    """
    hooks = [_running, *options.pop("on_running", ())]
    return lambda function: _CalledFlow(function, on_running=hooks, **options)


def _running(_: Any, flow_run: FlowRun, state: Any) -> None:
    """Do for a run that a worker starts what the command line does for its own; note those of a local server."""
    keep_files_private()
    note_flow_run(flow_run.id)
