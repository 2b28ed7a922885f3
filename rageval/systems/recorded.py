"""A system whose answers were given before: a file of them, by question."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from rageval.config.own_systems import OwnSystemConfig
from rageval.corpus.items import RawItem
from rageval.corpus.recorded import RecordedAnswers
from rageval.engine.requests import ChatReply
from rageval.records import Context, Question, Usage
from rageval.safety.urls import shown
from rageval.systems.system import OwnSystem

_READING = threading.Lock()
NOT_RECORDED: Final = "the file holds no answer to this question"


@dataclass(frozen=True, kw_only=True)
class RecordedSystem(OwnSystem):
    """Answers in a file of its user's own."""

    @property
    def endpoint(self) -> str:
        """The file."""
        return shown(self.settings.file)

    def recorded(self, questions: Sequence[Question], repeat: int) -> Sequence[ChatReply]:
        """Return the answers in the file.

        Raises:
            DataError: If the file cannot be used.
        """
        with _READING:  # the first chunks start at once, and one reading serves them all
            answers = _answers(self.settings, _version(self.settings.file))
        return [_reply(answers.find(question, repeat)) for question in questions]


@lru_cache(maxsize=8)
def _answers(settings: OwnSystemConfig, version: tuple[int, ...]) -> RecordedAnswers:
    del version  # part of the cache's key: a file that is written again is read again
    return RecordedAnswers(settings.file, settings.columns, settings.recorded_system)


def _version(file: str) -> tuple[int, ...]:
    """Return what changes when a file of this machine is written; nothing is known of others."""
    try:
        found = Path(file).stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size


def _reply(item: RawItem | None) -> ChatReply:
    now = datetime.now(UTC)
    if item is None or (item.answer is None and item.contexts is None):
        error = item.error if item and item.error else NOT_RECORDED
        return ChatReply(text=None, error=error, attempts=0, started_at=now)
    contexts = item.contexts
    return ChatReply(
        text=item.answer,
        error=item.error if item.answer is None and item.error else None,
        attempts=0,
        finish_reason=item.finish_reason,
        usage=Usage(prompt_tokens=item.prompt_tokens, completion_tokens=item.completion_tokens),
        cost_usd=item.cost_usd,
        latency_s=item.latency_s,
        first_token_s=item.first_token_s,
        contexts=None if contexts is None else tuple(Context(id=c.id, text=c.text, score=c.score) for c in contexts),
        citations=item.citations,
        started_at=now,
    )
