"""Questions -> what a function of somebody else's returns for each: any vector database, any framework."""

import asyncio
import inspect
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, Final

from rageval.config.systems import RetrieverConfig
from rageval.embedding.embedding_model import Matrix
from rageval.functions import load_function
from rageval.records import Question
from rageval.safety.server_message import quoted
from rageval.safety.urls import without_logins
from rageval.search.own_search import PassageHit, PassageResult
from rageval.text.fingerprint import digest

_KEYS: Final = ("id", "text", "title", "score")
_LISTS: Final = ("ids", "texts", "titles", "scores")
_EXPECTED: Final = (
    "expected a list of hits, best first, each an id, a tuple of an id with a score, a text or both, or a dict with "
    "id, text, title, score; or a dict of lists with ids, texts, titles, scores"
)


class FunctionSearch:
    """A search by a function, sync or async; implements `OwnSearch`."""

    needs_vectors = False

    def __init__(self, retriever: RetrieverConfig, depth: int, filter_by: str = "") -> None:
        """Load the function; it is not called yet.

        Args:
            retriever: Names the function.
            depth: How many documents are wanted.
            filter_by: The column that a question's filter value belongs to; part of its metadata.

        Raises:
            ConfigError: If the function cannot be loaded, or the run may not load it.
        """
        self._retriever, self._depth, self._filter_by = retriever, depth, filter_by
        self._function = load_function(retriever.function, retriever.function_folder)
        self._wants_metadata = _takes_metadata(self._function)

    @property
    def identity(self) -> str:
        """The settings, and the file of the function; what it imports or asks may change unseen."""
        file = inspect.getsourcefile(inspect.unwrap(self._function)) if inspect.isroutine(self._function) else None
        source = digest(Path(file).read_text("utf-8")) if file and Path(file).is_file() else ""
        return f"{self._retriever.model_dump_json()} {source} {self._depth}"

    def search(self, questions: Sequence[Question], vectors: Matrix | None) -> list[PassageResult]:
        """Return what the function returns for each question, see `OwnSearch`; an exception is the row's error."""
        del vectors
        with ThreadPoolExecutor(self._retriever.concurrency, thread_name_prefix="retriever") as pool:
            if _is_async(self._function):
                # In a thread of its own, as the one that calls may have a loop that runs, such as a notebook's.
                return pool.submit(asyncio.run, self._await_all(questions)).result()
            return list(pool.map(self._called, questions))

    def close(self) -> None:
        """Nothing is held."""

    async def _await_all(self, questions: Sequence[Question]) -> list[PassageResult]:
        slots = asyncio.Semaphore(self._retriever.concurrency)

        async def one(question: Question) -> PassageResult:
            async with slots:
                started = time.monotonic()
                try:
                    return self._result(await self._call(question), started)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the code of others raises
                    return _failed(error, started)

        return await asyncio.gather(*map(one, questions))

    def _called(self, question: Question) -> PassageResult:
        started = time.monotonic()
        try:
            return self._result(self._call(question), started)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the code of others raises
            return _failed(error, started)

    def _call(self, question: Question) -> Any:
        if not self._wants_metadata:
            return self._function(question.question, self._depth)
        own = {self._filter_by: question.filter_value} if question.filter_value else {}
        return self._function(question.question, self._depth, metadata={**question.tags, **own})

    def _result(self, returned: Any, started: float) -> PassageResult:
        latency_s = time.monotonic() - started
        return PassageResult(hits=read_hits(returned)[: self._depth], latency_s=latency_s)


def read_hits(returned: Any) -> tuple[PassageHit, ...]:
    """Return what a function has returned as hits, in their order.

    A score that is missing is 1 / rank.

    Raises:
        ValueError: If it is none of the forms that are accepted, or a score is not finite.
    """
    if isinstance(returned, Mapping):
        returned = _rows(returned)
    if isinstance(returned, (str, bytes)) or not isinstance(returned, Iterable):
        raise ValueError(f"it returned {_kind(returned)}; {_EXPECTED}")
    return tuple(_hit(hit, rank) for rank, hit in enumerate(returned, 1))


def _rows(lists: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return parallel lists as hits."""
    unknown = [name for name in lists if name not in _LISTS]
    columns = {name.removesuffix("s"): list(lists[name]) for name in _LISTS if lists.get(name) is not None}
    lengths = {len(column) for column in columns.values()}
    if unknown or len(lengths) != 1:
        found = f"unknown {unknown[0]!r}" if unknown else f"lists of {' and '.join(map(str, sorted(lengths))) or 'no'}"
        raise ValueError(f"it returned a dict with {found} entries; {_EXPECTED}")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _hit(hit: Any, rank: int) -> PassageHit:
    named = _named(hit)
    document_id, text = named.get("id"), named.get("text")
    score = named.get("score")
    score = 1 / rank if score is None else float(score)
    if (document_id is None and not text) or not math.isfinite(score):
        raise ValueError(f"hit {rank} has no id and no text, or a score that is no number; {_EXPECTED}")
    return PassageHit(
        document_id="" if document_id is None else str(document_id),
        text=str(text or ""),
        title=str(named.get("title") or ""),
        score=score,
    )


def _named(hit: Any) -> Mapping[str, Any]:
    """Return a hit as a mapping with `_KEYS`; in a tuple the id is first, and types tell text and score apart."""
    if isinstance(hit, Mapping):
        if unknown := [name for name in hit if name not in _KEYS]:
            raise ValueError(f"a hit has {unknown[0]!r}; {_EXPECTED}")
        return hit
    if not isinstance(hit, (tuple, list)):
        hit = (hit,)
    first, *others = hit or (None,)
    texts = [one for one in others if isinstance(one, str)]
    scores = [one for one in others if isinstance(one, Real)]
    is_clear = len(texts) <= 1 and len(scores) <= 1 and len(texts + scores) == len(others)
    if not isinstance(first, (str, Real)) or not is_clear:
        raise ValueError(f"a hit is {_kind(hit)}; {_EXPECTED}")
    return {"id": first, "text": next(iter(texts), None), "score": next(iter(scores), None)}


def _failed(error: BaseException, started: float) -> PassageResult:
    said = quoted(f"{type(error).__name__}: {error}", without_logins)
    return PassageResult(latency_s=time.monotonic() - started, error=said)


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}"


def _is_async(function: Callable[..., Any]) -> bool:
    called = function if inspect.isroutine(function) or isinstance(function, partial) else type(function).__call__
    return inspect.iscoroutinefunction(called)


def _takes_metadata(function: Callable[..., Awaitable[Any] | Any]) -> bool:
    try:
        return "metadata" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # of some functions in C
        return False
