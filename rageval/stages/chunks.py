"""The questions of a run -> the chunks that tasks work on, and what came of a chunk."""

from collections.abc import Iterable
from dataclasses import dataclass

from rageval.records import Chunk, SearchMethod


@dataclass(frozen=True, kw_only=True)
class ChunkOutcome:
    """What a task did with a chunk: records asked for now, and of all the chunk's records how many stand how."""

    asked: int
    ok: int
    failed: int


def plan_chunks(questions: int, size: int, search_methods: Iterable[SearchMethod]) -> list[Chunk]:
    """Cut so many questions into chunks of `size`, for each search method whose contexts are answered from."""
    return [
        Chunk(number=number, start=start, stop=min(start + size, questions), search_method=method)
        for method in search_methods
        for number, start in enumerate(range(0, questions, size))
    ]
