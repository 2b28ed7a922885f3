"""The questions of a run -> the chunks that tasks work on, and what came of a chunk."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from rageval.config.models import ModelConfig
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.records import Chunk


class Ask(Protocol):
    """How a chunk's requests get their replies: `RequestEngine.submit`, or the results of a batch."""

    def __call__(
        self,
        requests: Sequence[ChatRequest],
        model: ModelConfig,
        on_reply: Callable[[int, ChatReply], None],
        *,
        label: str,
    ) -> Future[None]:
        """Call `on_reply` once for each request with its position; see `RequestEngine.submit`."""


@dataclass(frozen=True, kw_only=True)
class ChunkOutcome:
    """What a task did with a chunk: records asked for now, and of all the chunk's records how many stand how."""

    asked: int
    ok: int
    failed: int


def plan_chunks(questions: int, size: int, repeats: int = 1) -> list[Chunk]:
    """Cut so many questions into chunks of `size`, once for each time that they are asked."""
    slices = [(repeat, start) for repeat in range(1, repeats + 1) for start in range(0, questions, size)]
    return [
        Chunk(number=number, start=start, stop=min(start + size, questions), repeat=repeat)
        for number, (repeat, start) in enumerate(slices)
    ]
