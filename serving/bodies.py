"""Bodies of requests and responses: everything that comes in is checked here, and described for OpenAPI."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from rageval.monitoring.records import Conversation
from rageval.text.keys import plain_key
from serving.settings import MAX_COMMENT, MAX_QUESTION, MAX_USER


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold NUL characters")
    return text


def _thumb(value: int) -> int:
    if value not in (1, -1):
        raise ValueError("must be 1 for thumbs up or -1 for thumbs down")
    return value


_Text = AfterValidator(_without_nul)
Uuid = Annotated[UUID, Field(description="A UUID of the client's choice, such as crypto.randomUUID()")]


class _RequestBody(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class _ResponseBody(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)


class QuestionBody(_RequestBody):
    """A question."""

    question: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_QUESTION, strict=True), _Text
    ] = Field(examples=["How do I get a certificate?"])
    """What is asked, 1 to 2,000 characters."""
    filter_value: Annotated[str, StringConstraints(max_length=200, strict=True), _Text, AfterValidator(plain_key)] = ""
    """One of `/api/filter-values`, to search the documents with this value alone; empty for all."""
    conversation_id: Uuid | None = None
    """Give one to be safe: a request that is sent again with the same id and question is not asked again, and returns
    the answer that there is."""


class Feedback(_RequestBody):
    """A vote on an answer; a later vote of the same person replaces it."""

    conversation_id: Uuid
    """The id that came with the answer."""
    thumbs: Annotated[StrictInt, AfterValidator(_thumb), Field(json_schema_extra={"enum": [1, -1]})]
    """1 up, -1 down."""
    comment: (
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_COMMENT, strict=True), _Text] | None
    ) = None
    """What was good or bad, at most 2,000 characters."""
    user: (
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_USER, strict=True), _Text]
        | None
    ) = None
    """Who votes, as the client knows them, at most 200 characters, of which only a keyed hash is stored; for clients
    that keep no cookies. It counts in place of the cookie, and is refused where the app asks for no key."""


class Source(_ResponseBody):
    """A document that the model was shown."""

    document_id: str
    score: float
    """Comparable only within one answer."""
    section: str
    question: str
    text: str


class Reply(_ResponseBody):
    """An answer, with what it was made from."""

    conversation_id: str
    """What to vote on."""
    answer: str
    """Plain text of a model: never to be shown as markup."""
    sources: list[Source]
    """Best first."""
    system: str
    """Name of the system that answered."""
    model: str
    """Label of its model."""


class RecordedVote(_ResponseBody):
    """The vote that counts now."""

    conversation_id: str
    thumbs: Literal[1, -1]
    comment: str | None


class FilterValues(_ResponseBody):
    """What a search can be restricted to."""

    filter_by: str
    """Name of the column of the documents; empty if there is none."""
    filter_values: list[str]
    """Its values, in order."""


class Health(_ResponseBody):
    """How the app is."""

    status: Literal["ok", "degraded"]
    """`degraded` if questions are answered but not stored yet, or if the model refuses everybody."""
    model: Literal["ok", "refusing"]
    database: Literal["ok", "unreachable"]
    """While it is unreachable, conversations wait on disk."""
    waiting: int
    """Records that are not stored yet."""
    in_flight: int
    """Questions under way."""


class Problem(_ResponseBody):
    """Why a request was not done, and what to do."""

    error: str


def sources_of(conversation: Conversation) -> list[Source]:
    """Return what the model was shown."""
    return [Source.model_validate(context, from_attributes=True) for context in conversation.contexts]


def reply_of(conversation: Conversation) -> Reply:
    """Return the answer of a conversation that has one."""
    return Reply(
        conversation_id=conversation.conversation_id,
        answer=conversation.answer or "",
        sources=sources_of(conversation),
        system=conversation.system,
        model=conversation.model,
    )
