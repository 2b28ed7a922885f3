"""Questions -> answers: one task run per chunk of questions and system."""

from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from rageval.config.evaluation import RunOptions
from rageval.errors import RagevalError
from rageval.records import Chunk
from rageval.runs.run import Run
from rageval.systems import answers
from rageval.systems.system import System
from tasks import process
from tasks.limits import LimitSlots


@task(task_run_name="answer-{system.name}-{chunk.number}")
def answer_chunk(run: Run, chunk: Chunk, system: System, options: RunOptions) -> State[Any]:
    """Ask one system the chunk's questions; failed requests become rows, not exceptions.

    Answers already stored for this run are not asked again, so a restart pays only for what is missing.
    """
    try:
        with LimitSlots([system.model], process.engine()) as places:
            ask = process.reusing_earlier(places.ask, options)
            outcome = answers.answer_chunk(run, chunk, system, process.engine(), ask=ask, options=options)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{outcome.ok} answers, {outcome.failed} failed, {outcome.asked} asked now", data=outcome)
