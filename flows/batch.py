"""All chunks of a run through the Batch API: the answers of every system at once, then all scores."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prefect.futures import PrefectFuture

from rageval.config.evaluation import EvaluationConfig
from rageval.config.models import ModelConfig
from rageval.judging.plan import score_plan
from rageval.records import Chunk
from rageval.runs.store import RunStore
from rageval.systems.system import System
from tasks.batch import batch_answers, batch_scores


@dataclass(kw_only=True)
class BatchWork:
    """Keeps one batch step of every system under way, then the one of the scores."""

    run: RunStore
    config: EvaluationConfig
    systems: list[System]
    judges: tuple[ModelConfig, ...]
    chunks: list[Chunk]
    _started: list[PrefectFuture[Any]] = field(default_factory=list)

    def through(self) -> Iterator[None]:
        """Yield for each chunk of each system once all are answered and scored.

        Raises:
            Exception: The error of the first step that failed.
        """
        options = self.config.run
        for system in self.systems:
            self._started.append(batch_answers.submit(self.run, self.chunks, system, options))
        for answered in self._started:
            answered.result()
        scored = batch_scores.submit(
            run=self.run, chunks=self.chunks, systems=self.systems,
            plan=score_plan(self.config, self.judges), poll_s=options.batch_poll_s,
        )  # fmt: skip
        self._started.append(scored)
        scored.result()
        yield from (None for _ in self.systems for _ in self.chunks)

    def wait(self) -> None:
        """Wait until every step that was started has ended, well or not."""
        for future in self._started:
            future.wait()
