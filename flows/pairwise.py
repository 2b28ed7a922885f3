"""All answers of a run, once they are scored -> the judge's choices between every two systems."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from prefect.futures import PrefectFuture

from flows.under_way import Line, width
from flows.workers import Workers
from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.judging.choices import rivals
from rageval.records import Chunk
from rageval.runs.store import RunStore
from rageval.scoring.scores import verdicts_label
from rageval.systems.system import System
from tasks.pairwise import compare_chunk


def compared_chunks(config: EvaluationConfig, chunks: Sequence[Chunk]) -> int:
    """Return how many chunks of comparisons a run has: one for each system but the last, or none."""
    if not config.judge.pairwise or config.judge_model is None:
        return 0
    return len(chunks) * (len(config.plans) - 1)


def pairwise_lines(
    run: RunStore,
    config: EvaluationConfig,
    systems: Sequence[System],
    judges: Sequence[ModelConfig],
    chunks: Sequence[Chunk],
    crew: Workers,
) -> list[Line]:
    """Return one line of all comparisons, each of all pairs of one first system; none without a judge that chooses."""
    if not judges or not compared_chunks(config, chunks):
        return []
    judge = judges[0]

    def start(chunk: Chunk, system: System, others: list[System]) -> list[PrefectFuture[Any]]:
        compared = compare_chunk.submit(
            run=run, chunk=chunk, system=system, others=others, judge=judge,
            with_reference=config.judge.with_reference, label=verdicts_label(judge), options=config.run,
            return_state=False,
        )  # fmt: skip
        return [compared]

    starts = (partial(start, chunk, *pairs) for chunk in chunks for pairs in rivals(systems))
    return [Line(starts=starts, width=width(judge, 2 * config.run.chunk_size, crew.widest(1), crew.processes))]
