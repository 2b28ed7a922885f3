"""Answers -> scores: one task run per chunk of answers, or per several chunks of a run that is scored once more."""

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from rageval.config.evaluation import RunOptions
from rageval.config.models import ModelConfig
from rageval.errors import RagevalError
from rageval.judging.plan import ScorePlan
from rageval.records import Chunk
from rageval.runs.store import RunStore
from rageval.scoring import scores
from tasks.limits import Places


@task(task_run_name="score-{model.name}-{chunk.search_method}-{chunk.number}")
def score_chunk(run: RunStore, chunk: Chunk, model: ModelConfig, plan: ScorePlan, options: RunOptions) -> State[Any]:
    """Score one model's answers to a chunk; scores already stored are not computed or asked again."""
    try:
        with Places(plan.judges) as places:
            outcome = scores.score_chunk(run, chunk, model, plan, places.ask, options=options)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{outcome.ok} scores, {outcome.failed} without a value", data=outcome)


@task(task_run_name="rescore-{model.name}-{part}")
def rescore_chunks(
    run: RunStore, chunks: Sequence[Chunk], part: int, model: ModelConfig, plan: ScorePlan, options: RunOptions
) -> State[Any]:
    """Score one model's stored answers to some chunks by another plan, one chunk after the other."""
    try:
        outcomes = []
        for chunk in chunks:
            with Places(plan.judges) as places:
                outcomes.append(scores.score_chunk(run, chunk, model, plan, places.ask, options=options))
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    asked, lost = sum(outcome.asked for outcome in outcomes), sum(outcome.failed for outcome in outcomes)
    return Completed(message=f"part {part}: {asked} scores now, {lost} without a value", data=asked)
