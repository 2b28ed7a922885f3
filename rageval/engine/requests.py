"""What is asked of a model, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson

from rageval.config.models import ModelConfig
from rageval.engine.parameters import request_parameters
from rageval.engine.replies import Completion
from rageval.engine.stream import OnPiece
from rageval.records import Context, Message, Usage
from rageval.text.fingerprint import digest, request_fingerprint


class Transport(Protocol):
    """What is open while a system is asked: connections, or a process. Lives on the event loop of all traffic."""

    on_received: Callable[[bytes], None] | None
    """Who sees every reply, or part of one, as it comes; None for nobody."""

    def described(self, request: "ChatRequest") -> str:
        """Return what is sent for a request, as it may be shown."""

    async def send(self, request: "ChatRequest") -> tuple[Completion, Mapping[str, str]]:
        """Ask once, and return the reply with its headers; whoever calls it has a time-out.

        Raises:
            TransientError, RateLimitedError: If it is worth another attempt.
            RequestFailedError: If it is not.
            CredentialsError, RunStoppedError: If no request can succeed any more.
        """

    async def check(self) -> None:
        """Find out whether it can be asked, as far as that can be told without asking.

        Raises:
            InputError: If it cannot.
        """

    async def close(self) -> None:
        """Give back what is open."""


class Caller(Protocol):
    """The settings by which a system is asked; hashable, and can be pickled."""

    @property
    def identity(self) -> str:
        """What a reply depends on beside the question; part of the fingerprint of every request."""

    @property
    def address(self) -> str:
        """Whose limits it is asked under."""

    @property
    def url(self) -> str:
        """What it is called in messages, without secrets."""

    def connect(self) -> Transport:
        """Open what is needed to ask it.

        Raises:
            InputError: If a variable is not set, a file is not there, or the run may not ask it.
        """

    def redact(self, text: str) -> str:
        """Return a text without secrets that were sent, which an error may repeat."""


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What one model is asked; `response_format` is dropped where the server does not know it."""

    messages: Sequence[Message]
    response_format: Mapping[str, Any] | None = None
    occasion: str = ""
    """Part of the fingerprint and never sent: the same question on another occasion is another request, so the reply
    to the first one is not taken for it."""
    caller: Caller | None = None
    """How it is sent, if not as a chat completion: the last message is the question then, those before it the earlier
    turns."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Of the question; sent only where a caller says so."""
    conversation: str = ""
    """What the turns of a conversation have in common; sent only where a caller says so."""
    verdicts: tuple[str, ...] = ()
    """Names of the verdicts that one reply brings, where a judge is asked for several."""
    on_piece: OnPiece | None = None
    """Who gets the reply piece by piece while it is written; such a request is never hedged."""

    def fingerprint(self, model: ModelConfig) -> str:
        """Return the identity of this request to that model, see `rageval.text.fingerprint`."""
        if self.caller:
            said = orjson.dumps([*self.messages, dict(self.metadata)], option=orjson.OPT_SORT_KEYS).decode()
            return digest("call", self.caller.identity, said, self.conversation, self.occasion)
        parameters = request_parameters(model)
        if self.response_format:
            parameters["response_format"] = self.response_format
        identity = request_fingerprint(self.messages, model.served_name, parameters)
        return digest(identity, self.occasion) if self.occasion else identity


@dataclass(frozen=True, kw_only=True)
class ChatReply:
    """The text of a reply, or the error that stands for it."""

    text: str | None
    """None where there is an error, or a system of its user's own brings contexts alone."""
    error: str | None
    attempts: int
    thinking: str | None = None
    """What the model thought aloud before its text."""
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    latency_s: float | None = None
    started_at: datetime
    reused_from: str | None = None
    """The earlier run that got this reply, if it was not asked for now."""
    contexts: tuple[Context, ...] | None = None
    """What the system says that it was shown, best first; None where it does not say."""
    citations: tuple[str, ...] | None = None
    first_token_s: float | None = None
    """Seconds until the first piece of a streamed reply."""
