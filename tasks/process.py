"""A run under way -> its request engine, for the tasks of the run: Prefect hands tasks no object that is alive.

A flow says what it works with, and its tasks, in threads of its process, find that in their context. The process of a
Dask worker works on one run at a time; it has an engine of its own, see `tasks.dask_plugin`. Whoever has started a flow
in this process, to show how far it is or to stop it, watches for the engine that the flow opens.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol, TypeVar

from rageval.config.evaluation import RunOptions
from rageval.engine.chunks import Ask
from rageval.engine.counts import ModelCounts
from rageval.engine.earlier_runs import EarlierRuns
from rageval.engine.request_engine import RequestEngine
from rageval.engine.reuse import reusing
from rageval.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class _Work:
    engine: RequestEngine
    earlier: EarlierRuns | None


class Watcher(Protocol):
    """Whoever wants to know the engine of a flow."""

    engine: RequestEngine | None


_Watcher = TypeVar("_Watcher", bound=Watcher)
_of_flow: ContextVar[_Work | None] = ContextVar("rageval_work", default=None)
_watchers: ContextVar[tuple[Watcher, ...]] = ContextVar("rageval_watchers", default=())
_of_worker: _Work | None = None


def engine() -> RequestEngine:
    """Return the engine of the run that this task is part of.

    Raises:
        RuntimeError: If no flow has said what it works with.
    """
    return _work().engine


def reusing_earlier(ask: Ask, options: RunOptions) -> Ask:
    """Return a way of asking that first looks into earlier runs, if the run's options say so."""
    work = _work()
    return reusing(ask, work.earlier, work.engine) if options.reuse and work.earlier else ask


def _work() -> _Work:
    work = _of_flow.get() or _of_worker
    if work is None:
        raise RuntimeError("a task that asks models is part of a flow that has opened a request engine")
    return work


@contextmanager
def working(engine: RequestEngine, run: Run | None = None) -> Iterator[None]:
    """Let the tasks that the block starts work with this engine.

    Args:
        engine: Open for as long as the block runs.
        run: The run that they work on, if earlier ones beside it may be looked into.
    """
    for watcher in _watchers.get():
        watcher.engine = engine
    token = _of_flow.set(_Work(engine=engine, earlier=EarlierRuns(run) if run else None))
    try:
        yield
    finally:
        _of_flow.reset(token)


def begin_working(engine: RequestEngine, run: Run | None) -> None:
    """Let every task of this process, which is a worker of a cluster, work with this engine from here on."""
    global _of_worker  # noqa: PLW0603 - Dask calls tasks with nothing but their arguments
    _of_worker = _Work(engine=engine, earlier=EarlierRuns(run) if run else None)


def end_working() -> None:
    """Close what `begin_working` was given, if anything."""
    global _of_worker  # noqa: PLW0603 - as above
    if _of_worker:
        _of_worker.engine.close()
    _of_worker = None


@contextmanager
def watching(watcher: _Watcher) -> Iterator[_Watcher]:
    """Tell the watcher, which is yielded, the engine of each flow that the block runs in this process."""
    token = _watchers.set((*_watchers.get(), watcher))
    try:
        yield watcher
    finally:
        _watchers.reset(token)


class FlowWatcher:
    """The flow that a command runs: how far it is, and the means to stop it."""

    def __init__(self) -> None:
        self._engine: RequestEngine | None = None
        self._stopped: BaseException | None = None

    @property
    def engine(self) -> RequestEngine | None:
        """The flow's engine, once it has opened it."""
        return self._engine

    @engine.setter
    def engine(self, engine: RequestEngine | None) -> None:
        self._engine = engine
        if engine and self._stopped:
            engine.stop(self._stopped)

    @property
    def counts(self) -> Mapping[str, ModelCounts]:
        """Progress by model and kind of request."""
        return self._engine.counts if self._engine else {}

    def stop(self, error: BaseException) -> None:
        """End the flow in order, now or as soon as it asks anything."""
        self._stopped = error
        if self._engine:
            self._engine.stop(error)
