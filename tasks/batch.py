"""All pending requests of a step -> rows, through the Batch API: a task run per system, and one for verdicts."""

from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID

from prefect import get_run_logger, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from rageval.config.evaluation import RunOptions
from rageval.engine.batch_api import BatchState
from rageval.engine.batch_watch import Watch
from rageval.errors import RagevalError
from rageval.judging.plan import ScorePlan
from rageval.pipeline import batch
from rageval.records import Chunk
from rageval.runs.run import Run
from rageval.systems.system import System
from tasks import process


@task(task_run_name="batch-answers-{system.name}")
def batch_answers(run: Run, chunks: Sequence[Chunk], system: System, options: RunOptions) -> State[Any]:
    """Ask one system all questions in batches; batches of an earlier start are collected, not asked again."""
    try:
        watch = Watch(every_s=options.batch_poll_s, show=_Display().show)
        outcome = batch.answer_batch(run, chunks, system, process.engine(), watch, options)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{outcome.ok} answers, {outcome.failed} failed, {outcome.asked} asked now", data=outcome)


@task(task_run_name="batch-verdicts")
def batch_verdicts(
    run: Run,
    chunks: Sequence[Chunk],
    systems: Sequence[System],
    plan: ScorePlan,
    poll_s: float,
) -> State[Any]:
    """Ask judges for the verdicts on all answers of all systems; what is stored is not asked again."""
    watch = Watch(every_s=poll_s, show=_Display().show)
    try:
        outcome = batch.judge_batch(run, chunks, systems, plan, process.engine(), watch)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{outcome.ok} verdicts, {outcome.failed} without a value", data=outcome)


class _Display:
    """A log line per batch and the step's progress artifact, both only when something has changed."""

    def __init__(self) -> None:
        self._shown: dict[str, str] = {}
        self._artifact: UUID | None = None

    def show(self, states: Sequence[BatchState]) -> None:
        """Show how far the batches are."""
        lines = {state.batch_id: _sentence(state) for state in states}
        if lines == self._shown:
            return
        for batch_id, line in lines.items():
            if self._shown.get(batch_id) != line:
                get_run_logger().info(line)
        self._shown = lines
        done = sum(state.completed + state.failed for state in states)
        progress = 100.0 * done / max(1, sum(state.total for state in states))
        if self._artifact is None:
            made = create_progress_artifact(key="rageval-batch", progress=progress, description="Requests in batches")
            self._artifact = cast(UUID, made)  # a coroutine only where an event loop calls it
        else:
            update_progress_artifact(self._artifact, progress=progress)


def _sentence(state: BatchState) -> str:
    counts = f"{state.completed} completed, {state.failed} failed of {state.total}"
    return f"Batch {state.batch_id} is {state.status}: {counts}"
