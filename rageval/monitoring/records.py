"""What monitoring keeps of a conversation; the chat app, the online evaluation and the simulation share it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Thumbs = Literal[1, -1]
VISITOR = "visitor:"
"""What the name of a voter begins with whom anybody can be: one of an app that asks for no key."""


@dataclass(frozen=True, kw_only=True)
class ShownContext:
    """A document that the model was shown."""

    document_id: str
    score: float
    section: str
    question: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A question that was asked, and what came of it."""

    conversation_id: str
    """A UUID; a request that is sent twice has the same one."""
    asked_at: datetime
    """With its zone."""
    question: str
    filter_value: str = ""
    """The value of the column `data.filter_by` that the search was restricted to; empty for none."""
    status: Literal["ok", "failed"] = "ok"
    answer: str | None = None
    error: str | None = None
    system: str
    """Name of what answered; `model`, `retriever` and `prompt_version` are what it was made of then."""
    model: str
    retriever: str
    prompt_version: str
    contexts: tuple[ShownContext, ...] = ()
    """Best first."""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """US dollars; None if the price is unknown."""
    search_s: float | None = None
    model_s: float | None = None
    total_s: float
    trace_id: str | None = None
    source: Literal["chat", "simulated"] = "chat"


@dataclass(frozen=True, kw_only=True)
class Vote:
    """What somebody thinks of an answer; a later vote of the same voter replaces it."""

    conversation_id: str
    voter: str
    """A hash of the user's id, at most 64 characters; or the judge's label. It begins with `VISITOR` if anybody can
    vote as so many voters as they like."""
    thumbs: Thumbs
    given_at: datetime
    source: Literal["user", "judge"] = "user"
    comment: str | None = None
    label: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What one metric says of a conversation."""

    conversation_id: str
    metric: str
    metric_version: str
    judge: str = ""
    """Label of the judging model; empty for a metric without one."""
    status: Literal["ok", "unscored", "failed"] = "ok"
    value: float | None = None
    label: str | None = None
    reason: str | None = None
    error: str | None = None
    cost_usd: float | None = None
    evaluated_at: datetime


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A rule that a window of time has broken."""

    rule: str
    window_start: datetime
    window_end: datetime
    value: float
    bound: float
    n: int
    """Conversations, votes or verdicts that the value is of."""
    message: str
    system: str = ""
    """The system that the rule is about; empty for all."""
    filter_value: str = ""
    """The value of `data.filter_by` that it is about; empty for all."""
    raised_at: datetime
