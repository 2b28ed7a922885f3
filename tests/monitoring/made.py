"""Conversations, votes and evaluations made by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from rageval.monitoring.records import Conversation, Evaluation, ShownContext, Vote

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def id_of(number: int) -> str:
    return str(UUID(int=number))


def conversation(number: int = 0, **values: Any) -> Conversation:
    shown = ShownContext(document_id="d1", score=0.75, section="s", question="What is a flow?", text="A flow is ...")
    return Conversation(**{
        "conversation_id": id_of(number), "asked_at": NOW + timedelta(seconds=number), "question": f"What is {number}?",
        "filter_value": "c", "answer": f"It is {number}.", "system": "s1",
        "model": "m1", "retriever": "hybrid", "prompt_version": "1",
        "contexts": (shown,), "prompt_tokens": 100, "completion_tokens": 20, "cost_usd": 0.001, "search_s": 0.01,
        "model_s": 1.0, "total_s": 1.1, **values,
    })  # fmt: skip


def vote(number: int = 0, thumbs: int = 1, minutes: float = 0, **values: Any) -> Vote:
    given_at = NOW + timedelta(minutes=minutes)
    return Vote(**{"conversation_id": id_of(number), "voter": "v1", "thumbs": thumbs, "given_at": given_at, **values})


def evaluation(number: int = 0, **values: Any) -> Evaluation:
    return Evaluation(**{
        "conversation_id": id_of(number), "metric": "relevance", "metric_version": "1", "judge": "j", "value": 1.0,
        "label": "RELEVANT", "evaluated_at": NOW, **values,
    })  # fmt: skip
