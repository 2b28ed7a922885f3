"""The bytes of an HTTP reply, plain or streamed -> what it says, by the JMESPaths of its system's settings."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import jmespath

from rageval.config.own_systems import OwnSystemConfig
from rageval.engine.replies import Completion
from rageval.errors import RequestFailedError
from rageval.safety.server_message import ServerMessage
from rageval.systems.own_replies import UnusableReplyError, reply_of, unusable

MAX_REPLY_BYTES: Final = 20_000_000
_WHOLE: Final = "@"
"""The path of all of an event, whose data may be plain text."""
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})


@dataclass(kw_only=True)
class ReplyEvent:
    """One event of a stream, or a whole reply."""

    data: str
    name: str = ""
    """That of a server-sent event; empty where it has none."""

    @cached_property
    def value(self) -> Any:
        """The data as JSON; a text where it is none."""
        try:
            return json.loads(self.data)
        except (ValueError, RecursionError):
            return self.data

    def find(self, path: str) -> Any:
        """Return what stands at a path; the name of an event is a key, too, that holds its data."""
        if not path:
            return None
        value = self.value
        found = _search(path, value)
        if found is None and self.name:
            found = _search(path, {self.name: value})
        if path == _WHOLE and not isinstance(found, (str, dict)):
            return self.data  # of plain text, `[1]` and `42` are pieces like any other
        return found


@dataclass(kw_only=True)
class ReplyReading:
    """A reply as far as it has come."""

    settings: OwnSystemConfig
    started: float = field(default_factory=time.monotonic)
    _events: list[ReplyEvent] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _first_token_s: float | None = None

    def take(self, event: ReplyEvent) -> None:
        """Read the next event."""
        self._events.append(event)
        piece = event.find(self.settings.piece_path)
        if isinstance(piece, str) and piece:
            if self._first_token_s is None:
                self._first_token_s = time.monotonic() - self.started
            self._pieces.append(piece)

    def whole(self, body: bytes) -> Completion:
        """Return what a reply says that is no stream; one that is no JSON is worth another attempt."""
        event = ReplyEvent(data=body.decode("utf-8", "replace"))
        if isinstance(event.value, str) and self.settings.answer_path != _WHOLE:
            said = f"the reply is not JSON: {event.data[:500]}"
            return Completion(finish_reason="error", fault=ServerMessage(text=said))
        self._events = [event]
        return self._completion(self._find(self.settings.answer_path))

    def streamed(self) -> Completion:
        """Return what a stream says that has ended; an answer without pieces may stand in it as a whole."""
        answer = "".join(self._pieces) or self._find(self.settings.answer_path)
        return self._completion("" if answer is None and self.settings.piece_path else answer)

    def _completion(self, answer: Any) -> Completion:
        settings = self.settings
        try:
            return reply_of(
                answer=answer,
                contexts=self._find(settings.contexts_path),
                ids=self._find(settings.context_ids_path),
                scores=self._find(settings.context_scores_path),
                citations=self._find(settings.citations_path),
                usage=self._find(settings.usage_path),
                cost_usd=self._find(settings.cost_path),
                error=self._find(settings.error_path),
                first_token_s=self._first_token_s,
            )
        except UnusableReplyError as error:
            last = self._events[-1].value if self._events else None
            keys = f" (its keys: {', '.join(map(str, last))[:200]})" if isinstance(last, dict) else ""
            return unusable(f"the reply cannot be read: {error}{keys}; correct the paths of the system")

    def _find(self, path: str) -> Any:
        """Return the last that stands at a path of any event; one that holds something before any that is empty."""
        found = [event.find(path) for event in reversed(self._events)]
        known = [value for value in found if value is not None]
        return next((value for value in known if value not in _EMPTY), known[0] if known else None)


async def events(parts: AsyncIterator[bytes], kind: str) -> AsyncIterator[ReplyEvent]:
    """Yield the events of a stream, until it ends or says `[DONE]`.

    Args:
        parts: Its bytes, as they come.
        kind: `sse` or `ndjson`.

    Raises:
        RequestFailedError: If it is longer than what is read.
    """
    name, data = "", []
    async for line in _lines(parts):
        if kind == "ndjson":
            if line.strip():
                yield ReplyEvent(data=line)
            continue
        key, _, text = line.partition(":")
        text = text.removeprefix(" ")
        if key == "data":
            data.append(text)
        elif key == "event":
            name = text
        elif not line and data:
            if data == ["[DONE]"]:
                return
            yield ReplyEvent(data="\n".join(data), name=name)
            name, data = "", []
    if data and data != ["[DONE]"]:
        yield ReplyEvent(data="\n".join(data), name=name)


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Yield lines that end with a line feed: other ends of lines, such as U+2028, may stand within a text."""
    size, rest = 0, b""
    async for part in parts:
        size += len(part)
        if size > MAX_REPLY_BYTES:
            raise RequestFailedError(f"the reply is larger than {MAX_REPLY_BYTES:,} bytes, the most that is read")
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
    if rest:
        yield rest.decode("utf-8", "replace")


async def whole_body(parts: AsyncIterator[bytes]) -> bytes:
    """Return all bytes of a reply.

    Raises:
        RequestFailedError: If it is larger than what is read.
    """
    body = bytearray()
    async for part in parts:
        body += part
        if len(body) > MAX_REPLY_BYTES:
            raise RequestFailedError(f"the reply is larger than {MAX_REPLY_BYTES:,} bytes, the most that is read")
    return bytes(body)


def _search(path: str, value: Any) -> Any:
    if isinstance(value, str):
        return value if path == _WHOLE else None
    try:
        return jmespath.search(path, value)
    except (jmespath.exceptions.JMESPathError, TypeError, ValueError):
        return None  # a function of it does not take what this reply holds
