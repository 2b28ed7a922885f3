"""A run -> a request engine in each worker of a Dask cluster, also in those that come while the run goes on."""

from distributed import Worker, WorkerPlugin

from rageval.engine.request_engine import RequestEngine
from rageval.runs.run import Run
from rageval.safety.allowances import Allowances, follow
from rageval.telemetry.logs import log_as_wanted
from rageval.telemetry.tracing import export_spans
from tasks.process import begin_working, end_working

NAME = "rageval"
"""One name for all runs: a plugin that a run could not take away makes room for the next one's."""


class RunOnWorker(WorkerPlugin):
    """What a worker process does before it takes chunks of a run, and once the run is over."""

    def __init__(self, run: Run | None, allowed: Allowances | None) -> None:
        """Prepare it where the run is directed.

        Args:
            run: The run; None for work that belongs to no run.
            allowed: What it may use; None for a run that was started in a shell.
        """
        self._run, self._allowed = run, allowed

    def setup(self, worker: Worker) -> None:
        """Open the engine; its ceiling comes with the first exchange."""
        follow(self._allowed)
        log_as_wanted()
        export_spans()
        begin_working(RequestEngine(), self._run)

    def teardown(self, worker: Worker) -> None:
        """Close it."""
        end_working()
