"""Searches -> Elasticsearch's replies: many in a request, one after the other on the server, patiently."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from rageval.errors import IndexMismatchError, ServiceError
from rageval.search.elasticsearch_errors import (
    Patience,
    api_error,
    is_blocked,
    is_busy,
    patiently,
    reason_of,
    type_of,
)

SearchAsk: TypeAlias = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]
_FIRST, _MOST = 10, 100
"""Searches in the first request, and in any."""
_REQUEST_S = 5.0
"""What the searches of a request shall take together: far less than its time-out."""


@dataclass(frozen=True, kw_only=True)
class ElasticsearchQuery:
    """A search as it is sent."""

    name: str
    """What is searched for, for messages."""
    body: Mapping[str, Any]


def search_each(
    ask: SearchAsk, address: str, index: str, searches: Sequence[ElasticsearchQuery], header: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Yield the reply to each search; arguments are those of `replies_to`, and the index's name, for messages.

    Raises:
        IndexMismatchError: If the index is gone.
        ServiceError: If a search fails, or the server stays too busy, or never gets ready, for a minute.
    """
    for search, reply in zip(searches, replies_to(ask, address, searches, header), strict=True):
        if "error" in reply:
            raise _failure(address, index, search, reply)
        yield reply


def replies_to(
    ask: SearchAsk, address: str, searches: Sequence[ElasticsearchQuery], header: Mapping[str, Any]
) -> Iterator[Mapping[str, Any]]:
    """Yield the server's reply to each search, `error` and `status` of one that has failed among them.

    The server makes them one after the other: side by side, each would be told to have taken as long as all of them.

    Args:
        ask: Sends header and body of some searches in one request, and returns the reply's body.
        address: The server's, for messages.
        searches: What is searched for.
        header: Of each search.

    Raises:
        ServiceError: If the server stays too busy, or never gets ready, for a minute.
    """
    start, size = 0, _FIRST
    while start < len(searches):
        batch = searches[start : start + size]
        replies = _replies(ask, address, batch, header)
        yield from replies
        start += len(batch)
        took_s = max(sum(float(reply.get("took", 0)) for reply in replies), 1.0) / 1000
        size = max(1, min(_MOST, int(_REQUEST_S * len(batch) / took_s)))


def _replies(
    ask: SearchAsk, address: str, batch: Sequence[ElasticsearchQuery], header: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    replies: dict[int, Mapping[str, Any]] = {}
    patience = Patience()
    while pending := [number for number in range(len(batch)) if number not in replies]:
        lines = [line for number in pending for line in (header, batch[number].body)]
        busy: Mapping[str, Any] | None = None
        before = len(replies)
        for number, reply in zip(pending, patiently(partial(ask, lines))["responses"], strict=True):
            if "error" in reply and is_busy(reply["status"], reply["error"]):
                busy = reply
            else:
                replies[number] = reply
        if len(replies) > before:
            patience.begin_anew()
        if busy and not patience.pause():
            raise api_error(address, busy["status"], busy["error"])
    return [replies[number] for number in range(len(batch))]


def _failure(address: str, index: str, search: ElasticsearchQuery, reply: Mapping[str, Any]) -> Exception:
    reason = f"HTTP {reply['status']} {reason_of(reply['error'])}"
    if type_of(reply["error"]) in {"index_not_found_exception", "index_closed_exception"}:
        return IndexMismatchError(
            f"the index {index} at {address} was removed or closed while it was searched: {reason}; make sure that "
            "nothing else does that, build it again with `rageval index --rebuild`, and start again"
        )
    if is_blocked(reply["error"]):
        return api_error(address, reply["status"], reply["error"])
    return ServiceError(
        f"the search for {search.name} in {index} at {address} failed: {reason}; the server's log says more"
    )
