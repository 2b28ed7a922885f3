"""All chunks of a run through the Batch API: the answers of every model at once, then all scores."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from prefect.futures import PrefectFuture

from rageval.config.evaluation import EvaluationConfig
from rageval.engine.served_models import ServedModels
from rageval.judging.plan import score_plan
from rageval.records import Chunk
from rageval.runs.store import RunStore
from tasks.batch import batch_answers, batch_scores


@dataclass(kw_only=True)
class BatchWork:
    """Keeps one batch step of every answering model under way, then the one of the scores."""

    run: RunStore
    config: EvaluationConfig
    models: ServedModels
    chunks: list[Chunk]
    _started: list[PrefectFuture[Any]] = field(default_factory=list)

    def through(self) -> Iterator[None]:
        """Yield for each chunk of each model once all are answered and scored.

        Raises:
            Exception: The error of the first step that failed.
        """
        options = self.config.run
        for model in self.models.answering:
            self._started.append(batch_answers.submit(self.run, self.chunks, model, options))
        for answered in self._started:
            answered.result()
        scored = batch_scores.submit(
            run=self.run, chunks=self.chunks, answering=self.models.answering,
            plan=score_plan(self.config, self.models.judges), poll_s=options.batch_poll_s,
        )  # fmt: skip
        self._started.append(scored)
        scored.result()
        yield from (None for _ in self.models.answering for _ in self.chunks)

    def wait(self) -> None:
        """Wait until every step that was started has ended, well or not."""
        for future in self._started:
            future.wait()
