"""All answers of a run, once they are scored -> the judge's choices between every two models."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from prefect.futures import PrefectFuture

from flows.under_way import Line, width
from flows.workers import Workers
from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.engine.served_models import ServedModels
from rageval.judging.choices import rivals
from rageval.records import Chunk
from rageval.runs.store import RunStore
from rageval.scoring.scores import verdicts_label
from tasks.pairwise import compare_chunk


def compared_chunks(config: EvaluationConfig, chunks: Sequence[Chunk]) -> int:
    """Return how many chunks of comparisons a run has: one for each model but the last, or none."""
    if not config.judge.pairwise or config.judge_model is None:
        return 0
    return len(chunks) * (len(config.answers.models) - 1)


def pairwise_lines(
    run: RunStore, config: EvaluationConfig, models: ServedModels, chunks: Sequence[Chunk], crew: Workers
) -> list[Line]:
    """Return one line of all comparisons, each of all pairs of one first model; none without a judge that chooses."""
    judge = models.judge
    if judge is None or not compared_chunks(config, chunks):
        return []

    def start(chunk: Chunk, model: ModelConfig, others: list[ModelConfig]) -> list[PrefectFuture[Any]]:
        compared = compare_chunk.submit(
            run=run, chunk=chunk, model=model, others=others, judge=judge,
            with_reference=config.judge.with_reference, label=verdicts_label(judge), options=config.run,
            return_state=False,
        )  # fmt: skip
        return [compared]

    starts = (partial(start, chunk, *pairs) for chunk in chunks for pairs in rivals(models.answering))
    return [Line(starts=starts, width=width(judge, 2 * config.answers.chunk_size, crew.widest(1), crew.processes))]
