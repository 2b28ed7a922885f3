"""The decorator of every flow: Prefect's own, and a call from Python waits for the server that it needs."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Flow
from prefect.context import FlowRunContext

from flows.server import ready

P = ParamSpec("P")
R = TypeVar("R")


class _CalledFlow(Flow[P, R]):
    """A flow that, called, sees to its server first; one that a worker starts has been told of by its server."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if FlowRunContext.get() is None:
            ready()
        return super().__call__(*args, **kwargs)


def flow(**options: Any) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Return a decorator that makes a function a flow.

    Args:
        options: Those of `prefect.flow`.
    """
    return lambda function: _CalledFlow(function, **options)
