"""Answers -> scores: a task run per chunk for verdicts, and one per batch of chunks for what asks no model."""

from collections.abc import Sequence
from functools import partial
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
from rageval.scoring import computing, scores
from rageval.scoring.computing import AnsweredChunk
from rageval.systems.system import System
from tasks import process
from tasks.limits import LimitSlots


@task(task_run_name="judge-{system.name}-{chunk.number}")
def judge_chunk(run: Run, chunk: Chunk, system: System, plan: ScorePlan, options: RunOptions) -> State[Any]:
    """Ask judges for verdicts on one system's answers to a chunk; those already stored are not asked for again."""
    try:
        outcome = _judge(run, chunk, system, plan, options)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(message=f"{outcome.ok} verdicts, {outcome.failed} without a value", data=outcome)


@task(task_run_name="compute-scores")
def compute_scores(run: Run, answered: Sequence[AnsweredChunk], plan: ScorePlan, options: RunOptions) -> State[Any]:
    """Compute the scores that ask no model of the answers to some chunks; those already stored stay."""
    try:
        outcome = _compute(run, answered, plan, options)
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    return Completed(
        message=f"{outcome.ok} scores of {len(answered)} chunks, {outcome.failed} without a value", data=outcome
    )


@task(task_run_name="rescore-{system.name}-{part}")
def rescore_chunks(
    run: Run, chunks: Sequence[Chunk], part: int, system: System, plan: ScorePlan, options: RunOptions
) -> State[Any]:
    """Score one system's stored answers to some chunks by another plan."""
    try:
        outcomes = [_judge(run, chunk, system, plan, options) for chunk in chunks]
        answered = [AnsweredChunk(system=system, chunk=chunk) for chunk in chunks]
        outcomes.append(_compute(run, answered, plan, options))
    except RagevalError as error:
        return Failed(message=str(error), data=error)
    asked, lost = sum(outcome.asked for outcome in outcomes), sum(outcome.failed for outcome in outcomes)
    return Completed(message=f"part {part}: {asked} scores now, {lost} without a value", data=asked)


def _judge(run: Run, chunk: Chunk, system: System, plan: ScorePlan, options: RunOptions) -> ChunkOutcome:
    with LimitSlots(plan.judges, process.engine()) as places:
        ask = process.reusing_earlier(places.ask, options)
        return scores.judge_chunk(run, chunk, system, plan, process.engine(), ask=ask, options=options)


def _compute(run: Run, answered: Sequence[AnsweredChunk], plan: ScorePlan, options: RunOptions) -> ChunkOutcome:
    work = partial(computing.compute_scores, run, answered, plan, process.engine(), options=options)
    return computing.at_low_priority(work)
