"""Where the chunks of a run are worked on: threads of this process, or the workers of a Dask cluster."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from typing import Any

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.server import running_server
from rageval import __version__
from rageval.config.evaluation import RunOptions
from rageval.engine.counts import ModelCounts
from rageval.engine.request_engine import RequestEngine
from rageval.errors import ConfigError, RunLockedError, RunStoppedError, ServiceError
from rageval.pipeline.steps import MOST_THREADS, Workers
from rageval.runs.run import Run
from rageval.safety.allowances import allowances, check_endpoint
from tasks import worker

THREADS: TaskRunner[PrefectFuture[Any]] = ThreadPoolTaskRunner(max_workers=MOST_THREADS)  # type: ignore[assignment]  # its own future is one
"""The task runner of every flow that asks models, unless its run says otherwise."""
_LOCK = "rageval"
_LOCK_WAIT_S = 5.0
_CONNECT_S = 8.0
_EXCHANGE_EVERY_S = 1.0


@contextmanager
def workers(run: Run | None, options: RunOptions, engine: RequestEngine) -> Iterator[Workers]:
    """Let the tasks that the block submits run where the options say.

    Args:
        run: The run that they work on, if any; every worker has to see its folder.
        options: Where to.
        engine: The run's: what the engines of a cluster's processes count and spend is added up in it.

    Raises:
        ConfigError: If Dask is not installed, no scheduler is named, or a worker cannot work on the run.
        ServiceError: If the scheduler does not answer or has no workers.
        RunLockedError: If the cluster works on another run.
    """
    if options.task_runner == "threads":
        yield Workers(engine=engine)
        return
    with running_server():
        pass  # every worker would start a server of its own otherwise
    context = FlowRunContext.get()
    runner = _dask_runner(options)
    if context is None:
        raise RuntimeError("workers are for flows")
    with (
        runner,
        context.model_copy(update={"task_runner": runner}),
        _reserved(runner.client),
        _Cluster(client=runner.client, run=run, engine=engine) as cluster,
    ):
        try:
            yield cluster
        except Exception as error:  # what a lost worker or scheduler raises, of which Dask has many
            explained = cluster.explained(error)
            if explained is error:
                raise
            raise explained from error


def _dask_runner(options: RunOptions) -> Any:
    try:
        import dask  # noqa: PLC0415 - an optional dependency, and a slow import
        from distributed import Client  # noqa: PLC0415
        from prefect_dask import DaskTaskRunner  # type: ignore[attr-defined]  # noqa: PLC0415
    except ImportError:
        raise ConfigError("run.task_runner = dask needs Dask; install it with: pip install 'rageval[dask]'") from None
    of_environment = dask.config.get("scheduler-address", None)
    address = options.dask_scheduler or of_environment
    if not address:
        raise ConfigError(
            "run.task_runner = dask needs the address of a scheduler; give run.dask_scheduler, such as "
            "tcp://127.0.0.1:8786, or set DASK_SCHEDULER_ADDRESS"
        )
    if address != of_environment:
        check_endpoint(address, address)  # what a scheduler sends is unpickled
    try:
        connect: Any = Client
        connect(address, timeout=_CONNECT_S, set_as_default=False).close()
    except (OSError, TimeoutError) as error:
        raise ServiceError(
            f"the Dask scheduler at {address} does not answer; start it with `dask scheduler`, or correct "
            "run.dask_scheduler"
        ) from error
    return DaskTaskRunner(address=address)


@contextmanager
def _reserved(client: Any) -> Iterator[None]:
    """Hold the cluster for one run: its processes have one request engine each.

    Dask gives the place back by itself, half a minute after its holder has died.
    """
    from distributed import Semaphore  # noqa: PLC0415

    semaphore: Any = Semaphore
    place = semaphore(max_leases=1, name=_LOCK, scheduler_rpc=client.scheduler, loop=client.loop)
    if not place.acquire(timeout=_LOCK_WAIT_S):
        raise RunLockedError(
            f"the Dask cluster at {client.scheduler.address} works on another run; wait for it, or name another cluster"
        )
    try:
        yield
    finally:
        with suppress(OSError):  # a scheduler that is gone holds nothing
            place.release()


@dataclass(kw_only=True)
class _Cluster(Workers):
    """The workers of a Dask cluster, each with a request engine of its own.

    A thread exchanges figures with them every second: their progress, what all have spent together, and whether the
    run was stopped here. So a ceiling can be passed by what a second costs.
    """

    client: Any  # of Dask, which is typed in parts
    run: Run | None
    _of_each: dict[str, worker.WorkerReport] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _exchanging: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> "_Cluster":
        threads: dict[str, int] = self.client.nthreads()
        if not threads:
            raise ServiceError(
                f"the Dask cluster at {self.client.scheduler.address} has no workers; start some with "
                f"`dask worker {self.client.scheduler.address}`"
            )
        self.processes, self._threads = len(threads), sum(threads.values())
        self._begin()
        get_run_logger().info("Working on %d Dask workers with %d threads", self.processes, self._threads)
        self._spent_before = self.engine.spending.spent_usd
        self._watcher = threading.Thread(target=self._watch, name="dask-exchange", daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._watcher.join()
        self._exchange_if_there()
        from tasks.dask_plugin import NAME  # noqa: PLC0415 - an optional dependency

        with suppress(OSError, RuntimeError, ValueError):  # a scheduler that is gone has no workers
            self.client.unregister_worker_plugin(NAME)

    def widest(self, lines: int) -> int:
        """Return twice what the workers have threads for: the next chunk waits beside the one under way."""
        return max(1, 2 * self._threads // lines)

    def stop(self, error: BaseException, *, requests_alone: bool = False) -> None:
        """Cancel every request of every worker, and what is computed there."""
        self.engine.stop(error, requests_alone=requests_alone)
        self._exchange_if_there()

    def explained(self, error: BaseException) -> BaseException:
        """Return errors of the cluster as one that ends a run in order."""
        from distributed import KilledWorker  # noqa: PLC0415
        from distributed.comm.core import CommClosedError  # noqa: PLC0415

        if isinstance(error, KilledWorker):
            return RunStoppedError(
                f"a chunk was given up after its Dask workers had died one after the other ({error.last_worker} last); "
                "look into their logs, often they need more memory, and start the run again"
            )
        if isinstance(error, (CancelledError, CommClosedError)):
            return RunStoppedError(
                f"the Dask scheduler at {self.client.scheduler.address} is lost ({error}); start it and the run again"
            )
        return error

    def _begin(self) -> None:
        try:
            problems: dict[str, str | None] = self.client.run(worker.look_round, self.run, __version__, allowances())
        except (ImportError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"the Dask workers cannot run this package ({error}); install the same version there, with the same "
                "constraints.txt"
            ) from error
        if found := [f"the Dask worker {address} {problem}" for address, problem in problems.items() if problem]:
            raise ConfigError("; ".join(found))
        from tasks.dask_plugin import NAME, RunOnWorker  # noqa: PLC0415 - an optional dependency

        self.client.register_plugin(RunOnWorker(self.run, allowances()), name=NAME)

    def _watch(self) -> None:
        while not self._ended.wait(_EXCHANGE_EVERY_S):
            self._exchange_if_there()

    def _exchange_if_there(self) -> None:
        """Exchange figures; that the scheduler is gone is met by the chunks' futures, where it can be told."""
        with suppress(OSError, RuntimeError, ValueError):
            self._exchange()

    def _exchange(self) -> None:
        engine = self.engine
        with self._exchanging:
            if engine.stopped:
                self.client.run(worker.stop, str(engine.stopped), on_error="ignore")
            spent = {address: report.spent_usd for address, report in self._of_each.items()}
            self._of_each |= self.client.run(
                worker.exchange, engine.spending.ceiling_usd, engine.spending.spent_usd, spent, on_error="ignore"
            )
            engine.spending.spent_usd = self._spent_before + sum(r.spent_usd for r in self._of_each.values())
            self._show([report.counts for report in self._of_each.values()])

    def _show(self, of_each: list[Any]) -> None:
        """Put the workers' progress beside what is expected, which is counted here."""
        for label, counts in worker.add_up(of_each).items():
            shown = self.engine.counts.setdefault(label, ModelCounts())
            for figure in fields(ModelCounts):
                if figure.name != "expected":
                    setattr(shown, figure.name, getattr(counts, figure.name))
