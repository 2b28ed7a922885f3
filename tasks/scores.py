"""Answers -> scores: one task run per chunk of answers, or per several chunks of a run that is scored once more."""

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from rageval.config.evaluation import RunOptions
from rageval.engine.chunks import ChunkOutcome
from rageval.errors import RagevalError
from rageval.judging.plan import ScorePlan
from rageval.records import Chunk
from rageval.runs.run import Run
from rageval.scoring import scores
from rageval.systems.system import System
from tasks import process
from tasks.limits import LimitSlots


@task(task_run_name="score-{system.name}-{chunk.number}")
def score_chunk(run: Run, chunk: Chunk, system: System, plan: ScorePlan, options: RunOptions) -> State[Any]:
    """Score one system's answers to a chunk; scores already stored are not computed or asked again."""
    try:
        outcome = _score(run, chunk, system, plan, options)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{outcome.ok} scores, {outcome.failed} without a value", data=outcome)


@task(task_run_name="rescore-{system.name}-{part}")
def rescore_chunks(
    run: Run, chunks: Sequence[Chunk], part: int, system: System, plan: ScorePlan, options: RunOptions
) -> State[Any]:
    """Score one system's stored answers to some chunks by another plan, one chunk after the other."""
    try:
        outcomes = [_score(run, chunk, system, plan, options) for chunk in chunks]
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    asked, lost = sum(outcome.asked for outcome in outcomes), sum(outcome.failed for outcome in outcomes)
    return Completed(message=f"part {part}: {asked} scores now, {lost} without a value", data=asked)


def _score(run: Run, chunk: Chunk, system: System, plan: ScorePlan, options: RunOptions) -> ChunkOutcome:
    with LimitSlots(plan.judges, process.engine()) as places:
        ask = process.reusing_earlier(places.ask, options)
        return scores.score_chunk(run, chunk, system, plan, process.engine(), ask=ask, options=options)
