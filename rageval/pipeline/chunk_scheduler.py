"""Lines of chunks -> a few of each under way at a time: a line is limited by nothing but its own limits."""

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from rageval.config.models import ModelConfig

CHUNKS_AHEAD = 2
"""Chunks that a line is ahead of what its model can have in flight."""


class Future(Protocol):
    """What is going to come of a chunk: a future of Python's own, or of Prefect's."""

    def result(self) -> Any:
        """Wait, and return what came of it, or raise its error."""

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        """Call the function when it has ended."""


Start: TypeAlias = Callable[[], Sequence[Future]]
"""Submits the work of one chunk; the chunk has ended when the last one has."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """Chunks that go on one after the other."""

    starts: Iterable[Start]
    width: int
    """Chunks under way at a time, at least 1."""


@dataclass(frozen=True, kw_only=True)
class _StartedStep:
    futures: Sequence[Future]
    waiting: Iterator[Start]


@dataclass
class ChunkScheduler:
    """Works through lines of chunks side by side."""

    lines: Sequence[Line]
    _ended: "queue.SimpleQueue[_StartedStep]" = field(default_factory=queue.SimpleQueue)
    _running: dict[int, _StartedStep] = field(default_factory=dict)

    def through(self) -> Iterator[None]:
        """Yield whenever a chunk has ended, until all have.

        Raises:
            Exception: The error of the first chunk that failed.
        """
        for line in self.lines:
            waiting = iter(line.starts)
            for _ in range(line.width):
                self._start_next(waiting)
        while self._running:
            ended = self._ended.get()
            del self._running[id(ended)]
            for future in ended.futures:
                future.result()
            self._start_next(ended.waiting)
            yield

    def wait(self) -> None:
        """Wait until every chunk that was started has ended, well or not."""
        for started in self._running.values():
            wait_for(started.futures)

    def _start_next(self, waiting: Iterator[Start]) -> None:
        start = next(waiting, None)
        if start is None:
            return
        started = _StartedStep(futures=start(), waiting=waiting)
        self._running[id(started)] = started
        started.futures[-1].add_done_callback(lambda _: self._ended.put(started))


def wait_for(futures: Iterable[Future]) -> None:
    """Wait until all have ended, well or not."""
    for future in futures:
        with suppress(Exception):  # told where the first one is told
            future.result()


def width(model: ModelConfig, chunk_requests: int, widest: int, processes: int = 1) -> int:
    """Return how many chunks of so many requests keep a model busy, of `widest` at the most.

    Args:
        model: Whom the chunks ask.
        chunk_requests: Requests of one chunk.
        widest: The most chunks.
        processes: How many ask the model side by side.
    """
    return max(1, min(widest, -(-model.max_concurrency * processes // chunk_requests) + CHUNKS_AHEAD))
