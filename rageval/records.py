"""The records that travel between the stages; each is one row of a table in `rageval.tables`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

SearchMethod = Literal["text", "vector", "hybrid"]
AnswerStatus = Literal["ok", "failed"]
ScoreStatus = Literal["ok", "unscored", "failed", "skipped", "not_measured"]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text that can be found."""

    document_id: str
    text: str
    title: str = ""
    """What it is called; of an entry of a FAQ, its question. Empty where it has none."""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Every other column of the file that has a value, by its name."""
    content_hash: str

    def filter_value(self, filter_by: str) -> str:
        """Return what the document has in the column that restricts retrieval; empty where nothing does."""
        return self.metadata.get(filter_by, "") if filter_by else ""


@dataclass(frozen=True, kw_only=True, slots=True)  # a run may have a million
class Question:
    """What is asked, and what is known to be right about it."""

    question_id: str
    question: str
    history: "tuple[Message, ...]" = ()
    """Earlier turns of the conversation, the oldest first, each with `role` and `content`."""
    filter_value: str = ""
    """Only documents with this value are searched; empty for all."""
    references: tuple[str, ...] = ()
    """Right answers, any of which will do; empty where none is known."""
    relevant_ids: tuple[str, ...] = ()
    """Documents that answer it; empty where none is known. The first one is what it was made from."""
    relevant_grades: tuple[int, ...] = ()
    """How relevant each of them is, 1 to 10; only nDCG looks at it."""
    alternate_ids: tuple[str, ...] = ()
    """Documents that other rows name for the same question and filter value."""
    alternate_grades: tuple[int, ...] = ()
    """The grade of each of `alternate_ids`."""
    relevant_texts: tuple[str, ...] = ()
    """Texts that answer it, where documents are not known by ids."""
    answerable: bool | None = None
    """Whether the documents hold an answer; None where that is not known."""
    conversation: str = ""
    """What its turns have in common; empty where it stands alone."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Every other column of the file that has a value, by its name."""

    @property
    def made_from(self) -> str:
        """The first relevant document; empty where none is known."""
        return self.relevant_ids[0] if self.relevant_ids else ""

    def relevant(self, *, accept_alternates: bool) -> dict[str, int]:
        """Return the grade of each document that counts as relevant, by its id; the question's own come first."""
        own = dict(zip(self.relevant_ids, self.relevant_grades, strict=True))
        others = dict(zip(self.alternate_ids, self.alternate_grades, strict=True)) if accept_alternates else {}
        return own | {document_id: grade for document_id, grade in others.items() if document_id not in own}


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One document found by a search; `score` is comparable only within one result list."""

    document_id: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """What one retriever found for one question, best first."""

    question_id: str
    retriever: str
    document_ids: tuple[str, ...]
    scores: tuple[float, ...]
    first_relevant_rank: int | None
    """Rank (from 1) of the first right document, or None if none was found."""
    latency_s: float | None
    """Seconds in the search engine; for methods searched in batches, the batch's time divided by its size. None of what
    a system of its user's own brings."""
    counted_as: tuple[str, ...] | None = None
    """What each of them counts as, where relevance is a matter of texts: `text 1` for the first right text, or its own
    id."""
    shown_ids: tuple[str, ...] | None = None
    """What a model is shown of each of them, where that is not the document itself."""
    error: str | None = None
    """Why there is no result, of a retriever of one's own."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens that the server reported for the reply; None where it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, kw_only=True)
class Context:
    """A passage that a system says it was shown: its id, its text, or both."""

    id: str | None = None
    text: str | None = None
    score: float | None = None


@dataclass(frozen=True)
class Answer:
    """What a function of its user's own returns to a question, where a text alone does not say it."""

    text: str | None = None
    """The answer; None where it retrieves only."""
    contexts: Sequence[Any] | None = None
    """What it was shown, best first: texts, or objects with id, text and score, such as a `Context` or a mapping; None
    where it does not say."""
    citations: Sequence[str] | None = None
    """Ids or texts that the answer cites."""
    usage: Mapping[str, Any] | None = None
    """Tokens by name, such as `prompt_tokens` and `completion_tokens`."""
    cost_usd: float | None = None
    """US dollars that it cost; None where that is not known."""


@dataclass(frozen=True, kw_only=True)
class StoredAnswer:
    """One system's answer to one question, or the reason why there is none."""

    question_id: str
    system: str
    repeat: int = 1
    """Which of its answers to the question it is, from 1."""
    context_ids: tuple[str, ...] | None = ()
    """The documents that it was shown, in their order; None where nobody knows."""
    context_texts: tuple[str | None, ...] | None = None
    """The text of each, of a system that brings its own; None where it is a document of the run."""
    context_scores: tuple[float | None, ...] | None = None
    citations: tuple[str, ...] | None = None
    """What the answer cites, as its system says."""
    status: AnswerStatus
    answer: str | None
    thinking: str | None = None
    """What the model thought aloud before it; never scored or judged."""
    error: str | None
    attempts: int
    finish_reason: str | None
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    """None where the price or the token count is unknown; never 0 for unknown."""
    latency_s: float | None = None
    """Seconds of the attempt that succeeded, without waiting for limits."""
    first_token_s: float | None = None
    """Seconds until the first piece of a streamed reply."""
    request_fingerprint: str
    started_at: datetime
    reused_from: str | None = None
    """The earlier run that asked for this answer, where this run did not have to."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """One metric of one answer, or the reason why it has no value."""

    question_id: str
    system: str
    repeat: int = 1
    metric: str
    status: ScoreStatus
    value: float | None
    label: str | None = None
    reason: str | None = None
    error: str | None = None
    raw_reply: str | None = None
    """The judge's words, kept only when no verdict could be read from them."""
    thinking: str | None = None
    """What the judge thought aloud before its verdict; no verdict is read from it."""
    metric_version: str
    judge_model: str | None = None
    attempts: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float | None = None
    latency_s: float | None = None
    request_fingerprint: str | None = None
    reused_from: str | None = None
    """The earlier run that asked for this verdict, where this run did not have to."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A slice of the run's questions, answered once by one system at a time."""

    number: int
    start: int
    stop: int
    repeat: int = 1
    """Which of the answers to its questions it is about, from 1."""


Message: TypeAlias = dict[str, str]
