"""Replies of models on disk, one JSON line each as they come, so that a kill loses none and nothing is asked twice.

    runs/<run_id>/replies.jsonl

A reply is found again by the fingerprint of its request. A later line of the same fingerprint replaces an earlier one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from rageval.engine.requests import ChatReply
from rageval.records import Usage
from rageval.storage.files import appending
from rageval.storage.places import Place

REPLIES = "replies.jsonl"


@dataclass(frozen=True, kw_only=True)
class StoredReply:
    """What is kept of a reply: its text, or the error that stands for it, and what it took."""

    fingerprint: str
    text: str | None
    error: str | None
    finish_reason: str | None
    attempts: int
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None

    @property
    def was_paid(self) -> bool:
        """Whether a model has replied, usably or not."""
        return self.text is not None or self.finish_reason is not None or self.cost_usd is not None


def spent_on(replies: Sequence[StoredReply]) -> float | None:
    """Return the dollars of replies; None if the cost of any is unknown."""
    costs = [reply.cost_usd for reply in replies if reply.was_paid]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def read_replies(folder: Place) -> list[StoredReply]:
    """Return all replies of a run's folder as they came, none if there are none; lines that a kill cut are left out."""
    path = folder / REPLIES
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [reply for line in lines if (reply := _read(line))]


class ReplyLog:
    """The replies of one run, open within its `with` block; appended to from one thread at a time."""

    def __init__(self, folder: Place) -> None:
        """Read what is there, and open the file for appending.

        Args:
            folder: The run's folder.

        Raises:
            RunStoppedError: If it cannot be written.
        """
        path = folder / REPLIES
        found = read_replies(folder)
        self._lines = appending(path)
        self.stored = {reply.fingerprint: reply for reply in found}
        """The latest reply of each request."""
        self.replies = found
        """All replies as they came, also those that were replaced."""

    def append(self, fingerprint: str, reply: ChatReply) -> None:
        """Keep a reply; when it is safe from the death of this process is said at `appending`.

        Raises:
            RunStoppedError: If it cannot be written.
        """
        stored = StoredReply(
            fingerprint=fingerprint, text=reply.text, error=reply.error, finish_reason=reply.finish_reason,
            attempts=reply.attempts, usage=reply.usage, cost_usd=reply.cost_usd,
        )  # fmt: skip
        self._lines.append(orjson.dumps(asdict(stored)))
        self.stored[fingerprint] = stored
        self.replies.append(stored)

    def __enter__(self) -> "ReplyLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()


def _read(line: bytes) -> StoredReply | None:
    """Return a line's reply, or None for the line that a kill cut short or that is damaged."""
    try:
        row: dict[str, Any] = orjson.loads(line)
        return StoredReply(**{**row, "usage": Usage(**row["usage"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
