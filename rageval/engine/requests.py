"""What is asked of a model, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rageval.config.models import ModelConfig
from rageval.engine.endpoint import request_parameters
from rageval.engine.stream import OnPiece
from rageval.records import Message, Usage
from rageval.text.fingerprint import digest, request_fingerprint


@dataclass(frozen=True, kw_only=True)
class ChatRequest:
    """What one model is asked; `response_format` is dropped where the server does not know it."""

    messages: Sequence[Message]
    response_format: Mapping[str, Any] | None = None
    occasion: str = ""
    """Part of the fingerprint and never sent: the same question on another occasion is another request, so the reply
    to the first one is not taken for it."""
    on_piece: OnPiece | None = None
    """Who gets the reply piece by piece while it is written; such a request is never hedged."""

    def fingerprint(self, model: ModelConfig) -> str:
        """Return the identity of this request to that model, see `rageval.text.fingerprint`."""
        parameters = request_parameters(model)
        if self.response_format:
            parameters["response_format"] = self.response_format
        identity = request_fingerprint(self.messages, model.served_name, parameters)
        return digest(identity, self.occasion) if self.occasion else identity


@dataclass(frozen=True, kw_only=True)
class ChatReply:
    """The text of a reply, or the error that stands for it."""

    text: str | None
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
