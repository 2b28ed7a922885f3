"""Lines of chunks -> a few of each under way at a time: a line is limited by nothing but its own limits.

What asks no model goes on behind them, in batches: no chunk waits for it.
"""

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from rageval.config.models import ModelConfig

CHUNKS_AHEAD = 2
"""Chunks that a line is ahead of what its model can have in flight."""


Brought = TypeVar("Brought")


class Future(Protocol):
    """What is going to come of a chunk: a future of Python's own, or of Prefect's."""

    def result(self) -> Any:
        """Wait, and return what came of it, or raise its error."""

    def add_done_callback(self, fn: Callable[[Any], Any]) -> None:
        """Call the function when it has ended."""


@dataclass(frozen=True, kw_only=True)
class Work(Generic[Brought]):
    """The work of a chunk, or of several."""

    start: Callable[[], Sequence[Future]]
    """Submits it; it has ended when the last future has."""
    chunks: int = 1
    """How many chunks are done with it, for displays."""
    brings: Sequence[Brought] = ()
    """What can be worked on behind it once its first future has ended well."""


@dataclass(frozen=True, kw_only=True)
class Line(Generic[Brought]):
    """Work that goes on one after the other."""

    works: Iterable[Work[Brought]]
    width: int
    """How much of it is under way at a time, at least 1."""


@dataclass(frozen=True, kw_only=True)
class LineBehind(Generic[Brought]):
    """What is done with what the lines have brought: with as much at once as there is when the last batch has ended."""

    start: Callable[[Sequence[Brought]], Sequence[Future]]
    width: int = 1
    """Batches under way at a time, at least 1."""
    most: int = 80
    """Of one batch, at least 1; it bounds the memory that one takes."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How many chunks some work was the end of: of those that ask, and of those behind."""

    chunks: int = 0
    behind: int = 0


@dataclass(kw_only=True)
class _StartedStep(Generic[Brought]):
    futures: Sequence[Future]
    ends: Ended
    brings: Sequence[Brought] = ()
    """Emptied when it has been brought."""
    waiting: Iterator[Work[Brought]] | None = None
    """What the line goes on with; None for a batch behind the lines."""


@dataclass
class ChunkScheduler(Generic[Brought]):
    """Works through lines of chunks side by side, and behind them through what they bring."""

    behind: LineBehind[Brought] | None = None
    """None where nothing is to be done with it."""
    _news: "queue.SimpleQueue[tuple[_StartedStep[Brought], bool]]" = field(default_factory=queue.SimpleQueue)
    """What has brought something, and whether it has ended."""
    _running: dict[int, _StartedStep[Brought]] = field(default_factory=dict)
    _brought: "deque[Brought]" = field(default_factory=deque)

    def through(self, lines: Sequence[Line[Brought]]) -> Iterator[Ended]:
        """Yield whenever something has ended, until all of the lines has; what is behind them goes on.

        Raises:
            Exception: The error of the first work that failed.
        """
        for line in lines:
            waiting = iter(line.works)
            for _ in range(line.width):
                self._start_next(waiting)
        while any(started.waiting is not None for started in self._running.values()):
            yield from self._next()

    def rest(self) -> Iterator[Ended]:
        """Yield whenever something has ended, until nothing is left behind the lines.

        Raises:
            Exception: As for `through`.
        """
        self._start_behind()
        while self._running:
            yield from self._next()

    def wait(self) -> None:
        """Wait until everything that was started has ended, well or not; `rest` goes on with what it has brought."""
        for started in self._running.values():
            wait_for(started.futures)
            self._bring(started)
        self._running.clear()

    def _next(self) -> Iterator[Ended]:
        started, has_ended = self._news.get()
        if id(started) not in self._running:
            return  # its end was waited for
        self._bring(started)
        if has_ended:
            del self._running[id(started)]
            for future in started.futures:
                future.result()
            if started.waiting is not None:
                self._start_next(started.waiting)
        self._start_behind()
        if has_ended:
            yield started.ends

    def _bring(self, started: _StartedStep[Brought]) -> None:
        if started.brings and wait_for(started.futures[:1]):
            self._brought += started.brings
        started.brings = ()

    def _start_next(self, waiting: Iterator[Work[Brought]]) -> None:
        work = next(waiting, None)
        if work is not None:
            ends = Ended(chunks=work.chunks)
            self._note(_StartedStep(futures=work.start(), ends=ends, brings=work.brings, waiting=waiting))

    def _start_behind(self) -> None:
        line = self.behind
        if line is None:
            self._brought.clear()
            return
        while self._brought and sum(started.waiting is None for started in self._running.values()) < line.width:
            batch = [self._brought.popleft() for _ in range(min(line.most, len(self._brought)))]
            self._note(_StartedStep(futures=line.start(batch), ends=Ended(behind=len(batch))))

    def _note(self, started: _StartedStep[Brought]) -> None:
        self._running[id(started)] = started
        for future in started.futures[:-1]:
            future.add_done_callback(lambda _: self._news.put((started, False)))
        started.futures[-1].add_done_callback(lambda _: self._news.put((started, True)))


def wait_for(futures: Iterable[Future]) -> bool:
    """Wait until all have ended, and return whether all have ended well."""
    are_well = True
    for future in futures:
        try:
            future.result()
        except Exception:  # noqa: BLE001 - told where the first one is told
            are_well = False
    return are_well


def width(model: ModelConfig, chunk_requests: int, widest: int, processes: int = 1, turns: int = 1) -> int:
    """Return how many chunks of so many requests keep a model busy, of `widest` at the most.

    Args:
        model: Whom the chunks ask.
        chunk_requests: Requests of one chunk.
        widest: The most chunks.
        processes: How many ask the model side by side.
        turns: How many a chunk asks one after the other, such as a system and then its judges; while one is asked, the
            others need chunks of their own.
    """
    of_one = -(-model.max_concurrency * processes // chunk_requests) + CHUNKS_AHEAD
    return max(1, min(widest, turns * of_one))
