"""Answers of two systems -> the judge's choices: one task run per chunk and first system of the pairs."""

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from rageval.config.evaluation import RunOptions
from rageval.config.models import ModelConfig
from rageval.errors import RagevalError
from rageval.records import Chunk
from rageval.runs.run import Run
from rageval.scoring import pairwise
from rageval.systems.system import System
from tasks import process
from tasks.limits import LimitSlots


@task(task_run_name="compare-{system.name}-{chunk.number}")
def compare_chunk(
    run: Run,
    chunk: Chunk,
    system: System,
    others: Sequence[System],
    judge: ModelConfig,
    with_reference: bool,
    label: str,
    options: RunOptions,
) -> State[Any]:
    """Let the judge choose between one system's answers and those of the others; stored choices are not asked again."""
    try:
        with LimitSlots([judge], process.engine()) as places:
            outcome = pairwise.compare_chunk(
                run, chunk, system, others, judge, process.engine(), with_reference=with_reference, label=label,
                ask=process.reusing_earlier(places.ask, options), options=options,
            )  # fmt: skip
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(
        message=f"{outcome.ok} choices, {outcome.failed} without one, {outcome.asked} asked now", data=outcome
    )
