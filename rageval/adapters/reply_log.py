"""Replies of models on disk, one JSON line each as they come, so that a kill loses none and nothing is asked twice.

    runs/<run_id>/replies.jsonl

A reply is found again by the fingerprint of its request. A later line of the same fingerprint replaces an earlier one.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from rageval.adapters.chat_call import ChatReply
from rageval.adapters.run_files import writing
from rageval.records import Usage

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


def read_replies(folder: Path) -> list[StoredReply]:
    """Return all replies of a run's folder as they came, none if there are none; lines that a kill cut are left out."""
    path = folder / REPLIES
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return [reply for line in lines if (reply := _read(line))]


class ReplyLog:
    """The replies of one run, open within its `with` block; appended to from one thread at a time."""

    def __init__(self, folder: Path) -> None:
        """Read what is there, and open the file for appending.

        Args:
            folder: The run's folder.

        Raises:
            RunStoppedError: If it cannot be written.
        """
        path = folder / REPLIES
        found = read_replies(folder)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            if path.stat().st_size and not path.read_bytes().endswith(b"\n"):  # a kill has cut the last line
                self._file.write(b"\n")
        self._folder = folder
        self.stored = {reply.fingerprint: reply for reply in found}
        """The latest reply of each request."""
        self.spent_usd = sum(reply.cost_usd or 0.0 for reply in found)
        """Dollars of all replies, also of those that were replaced; a reply of unknown cost counts as nothing."""

    def append(self, fingerprint: str, reply: ChatReply) -> None:
        """Keep a reply; it is safe from the death of this process when this returns.

        Raises:
            RunStoppedError: If it cannot be written.
        """
        stored = StoredReply(
            fingerprint=fingerprint, text=reply.text, error=reply.error, finish_reason=reply.finish_reason,
            attempts=reply.attempts, usage=reply.usage, cost_usd=reply.cost_usd,
        )  # fmt: skip
        line = memoryview(orjson.dumps(asdict(stored)) + b"\n")
        with writing(self._folder):
            while line:  # a disk that fills up takes a part, and refuses the rest with an error
                line = line[self._file.write(line) :]
        self.stored[fingerprint] = stored
        self.spent_usd += reply.cost_usd or 0.0

    def has(self, fingerprint: str) -> bool:
        """Return whether a request needs not be asked again: it has a reply, readable or not."""
        return fingerprint in self.stored and self.stored[fingerprint].error is None

    def __enter__(self) -> "ReplyLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _read(line: bytes) -> StoredReply | None:
    """Return a line's reply, or None for the line that a kill cut short or that is damaged."""
    try:
        row: dict[str, Any] = orjson.loads(line)
        return StoredReply(**{**row, "usage": Usage(**row["usage"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
