"""One row of a file of questions or recorded answers, whatever the file's format and columns are called."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rageval.records import Message


@dataclass(frozen=True, kw_only=True, slots=True)
class RawContext:
    """One of the passages that a system was shown: its id, its text, or both."""

    id: str | None = None
    text: str | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RawItem:
    """What one row says of a question, and of an answer to it; None is what it does not say."""

    question_id: str | None = None
    question: str | None = None
    history: tuple[Message, ...] = ()
    """Earlier turns, oldest first, each with `role` (user, assistant or system) and `content`."""
    references: tuple[str, ...] = ()
    """Right answers."""
    relevant_ids: tuple[str, ...] = ()
    """Documents or passages that are right."""
    relevant_grades: tuple[int, ...] = ()
    """How right each of them is, from 1 on."""
    relevant_texts: tuple[str, ...] = ()
    """Texts that a right passage holds, see `rageval.corpus.relevant_text`."""
    relevant_text_grades: tuple[int, ...] = ()
    """How right each of them is, from 1 on."""
    answerable: bool | None = None
    """Whether the documents hold an answer."""
    conversation: str | None = None
    """Id of the conversation or session that the question is part of."""
    turn: int | None = None
    """Its number there."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Every further column that has a value, by its name."""

    system: str | None = None
    """Who answered."""
    repeat: int | None = None
    """Which of several answers of this system to this question it is, as it is numbered in the file."""
    answer: str | None = None
    error: str | None = None
    """Why there is no answer."""
    contexts: tuple[RawContext, ...] | None = None
    """What was retrieved, best first; () if nothing was, None if that is not recorded."""
    citations: tuple[str, ...] | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None
    model: str | None = None


@dataclass(frozen=True, kw_only=True)
class ItemBatch:
    """Some consecutive rows of a file."""

    items: tuple[RawItem, ...]
    places: tuple[str, ...]
    """Where each of them stands in the file, such as `line 7`."""
    problems: tuple[str, ...]
    """One line for each row that cannot be used: file, place and reason."""
    schema: str
    """Whose columns the file has, such as `ragas`."""
    note: str
    """A sentence on which column was read as what."""
