"""All answers of a run, once they are scored -> the judge's choices between every two models."""

import queue
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect.futures import PrefectFuture

from rageval.adapters.run_store import RunStore
from rageval.config import EvaluationConfig, ModelConfig
from rageval.metrics.pairwise import rivals
from rageval.records import Chunk
from rageval.stages.models import ServedModels
from rageval.stages.scores import verdicts_label
from tasks.pairwise import compare_chunk

_WIDEST = 32
_CHUNKS_AHEAD = 2


def compared_chunks(config: EvaluationConfig, chunks: Sequence[Chunk]) -> int:
    """Return how many chunks of comparisons a run has: one for each model but the last, or none."""
    if not config.judge.pairwise or config.judge_model is None:
        return 0
    return len(chunks) * (len(config.answers.models) - 1)


@dataclass(kw_only=True)
class PairwiseWork:
    """Keeps a few chunks of comparisons under way, each with all pairs of one first model."""

    run: RunStore
    config: EvaluationConfig
    models: ServedModels
    _ended: "queue.SimpleQueue[_Comparison]" = field(default_factory=queue.SimpleQueue)
    _under_way: "dict[int, _Comparison]" = field(default_factory=dict)

    def through(self, chunks: list[Chunk]) -> Iterator[Chunk]:
        """Yield each chunk of each first model once its pairs are compared; none without a judge that is to choose.

        Raises:
            Exception: The error of the first chunk that failed.
        """
        waiting = self._waiting(chunks)
        for _ in range(self._window()):
            self._start_next(waiting)
        while self._under_way:
            ended = self._ended.get()
            del self._under_way[id(ended)]
            ended.future.result()
            self._start_next(waiting)
            yield ended.chunk

    def wait(self) -> None:
        """Wait until every chunk that was started has ended, well or not."""
        for comparison in self._under_way.values():
            comparison.future.wait()

    def _waiting(self, chunks: list[Chunk]) -> "deque[tuple[Chunk, ModelConfig, list[ModelConfig]]]":
        if not compared_chunks(self.config, chunks):
            return deque()
        return deque((chunk, *pairs) for chunk in chunks for pairs in rivals(self.models.answering))

    def _window(self) -> int:
        judge = self.models.judge
        size = 2 * self.config.answers.chunk_size
        return min(_WIDEST, -(-judge.max_concurrency // size) + _CHUNKS_AHEAD) if judge else 0

    def _start_next(self, waiting: "deque[tuple[Chunk, ModelConfig, list[ModelConfig]]]") -> None:
        judge = self.models.judge
        if not waiting or judge is None:
            return
        chunk, model, others = waiting.popleft()
        future = compare_chunk.submit(
            run=self.run, chunk=chunk, model=model, others=others, judge=judge,
            with_reference=self.config.judge.with_reference, label=verdicts_label(judge), options=self.config.run,
            return_state=False,
        )  # fmt: skip
        comparison = _Comparison(chunk=chunk, future=future)
        self._under_way[id(comparison)] = comparison
        future.add_done_callback(lambda _: self._ended.put(comparison))


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """The task run of one chunk."""

    chunk: Chunk
    future: PrefectFuture[Any]
