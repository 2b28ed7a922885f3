"""Answers of two models -> the judge's choices: one task run per chunk and first model of the pairs."""

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from rageval.config.evaluation import RunOptions
from rageval.config.models import ModelConfig
from rageval.errors import RagevalError
from rageval.records import Chunk
from rageval.runs.store import RunStore
from rageval.scoring import pairwise
from tasks.limits import Places


@task(task_run_name="compare-{model.name}-{chunk.search_method}-{chunk.number}")
def compare_chunk(
    run: RunStore,
    chunk: Chunk,
    model: ModelConfig,
    others: Sequence[ModelConfig],
    judge: ModelConfig,
    with_reference: bool,
    label: str,
    options: RunOptions,
) -> State[Any]:
    """Let the judge choose between one model's answers and those of the others; stored choices are not asked again."""
    try:
        with Places([judge]) as places:
            outcome = pairwise.compare_chunk(
                run, chunk, model, others, judge,
                with_reference=with_reference, label=label, ask=places.ask, options=options,
            )  # fmt: skip
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(
        message=f"{outcome.ok} choices, {outcome.failed} without one, {outcome.asked} asked now", data=outcome
    )
