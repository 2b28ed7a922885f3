"""Answers -> scores: one task run per chunk of answers."""

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from rageval.adapters.run_store import RunStore
from rageval.config import IndexConfig, ModelConfig, RunOptions
from rageval.errors import RagevalError
from rageval.records import Chunk
from rageval.stages import scores


@task(task_run_name="score-{model.name}-{chunk.search_method}-{chunk.number}")
def score_chunk(
    run: RunStore,
    chunk: Chunk,
    model: ModelConfig,
    index: IndexConfig,
    metrics: Sequence[str],
    judge: ModelConfig | None,
    options: RunOptions,
) -> State[Any]:
    """Score one model's answers to a chunk; scores already stored are not computed or asked again."""
    try:
        outcome = scores.score_chunk(run, chunk, model, index=index, metrics=metrics, judge=judge, options=options)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{outcome.ok} scores, {outcome.failed} without a value", data=outcome)
