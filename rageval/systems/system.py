"""What the pipeline knows of whatever answers a question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self

from rageval.config.models import ModelConfig
from rageval.config.own_systems import OwnSystemConfig, own_settings
from rageval.config.systems import SystemKind
from rageval.engine.parameters import request_parameters
from rageval.engine.requests import Caller, ChatReply, ChatRequest
from rageval.records import Document, Question
from rageval.systems.templates import Prompt, messages


class System(Protocol):
    """Whatever answers a question. One file of this room holds each kind; `rageval.systems.kinds` lists them."""

    @property
    def name(self) -> str:
        """What it is called in every table."""

    @property
    def kind(self) -> SystemKind:
        """Its kind, as in `systems.kind`."""

    @property
    def retriever(self) -> str | None:
        """Name of the retriever whose results it is shown, or None."""

    @property
    def prompt(self) -> Prompt | None:
        """What its model is asked with; None of a system of its user's own."""

    @property
    def brings_contexts(self) -> bool:
        """Whether contexts come with its answers, and not from a retriever of ours."""

    @property
    def endpoint(self) -> str | None:
        """Where a system of its user's own answers, as it may be shown; None of ours."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What its answers depend on beside question, contexts and prompt."""

    @property
    def model(self) -> ModelConfig:
        """Who answers, and under whose limits."""

    def context_ids(self, question: Question, found: Sequence[str]) -> tuple[str, ...]:
        """Return the ids of the documents that it is shown for a question, in their order.

        Args:
            question: What is asked, with what is known to be relevant.
            found: Ids of the documents that its retriever found, best first, as many as are shown; empty without one.
        """

    def request(self, question: Question, contexts: Sequence[Document]) -> ChatRequest:
        """Return what is sent to get an answer."""

    @property
    def caller(self) -> Caller | None:
        """How a system of its user's own is asked; None of ours, and of one that was asked before."""

    def recorded(self, questions: Sequence[Question], repeat: int) -> Sequence[ChatReply] | None:
        """Return the answers that were given before, one for each question; None of a system that has to be asked."""

    def with_model(self, model: ModelConfig) -> "System":
        """Return the same system with a model that an endpoint serves."""


@dataclass(frozen=True, kw_only=True)
class PromptedModel:
    """A model that is asked with a prompt: what the kinds of this project have in common."""

    name: str
    prompt: Prompt
    model: ModelConfig
    brings_contexts: Final[bool] = False
    endpoint: Final[str | None] = None
    caller: Final[Caller | None] = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What its requests carry beside the messages."""
        return request_parameters(self.model)

    def request(self, question: Question, contexts: Sequence[Document]) -> ChatRequest:
        """Return the prompt, filled in."""
        said = messages(self.prompt, question.question, contexts, history=question.history, metadata=question.tags)
        return ChatRequest(messages=said)

    def recorded(self, questions: Sequence[Question], repeat: int) -> None:
        """Return None: it has to be asked."""
        del questions, repeat

    def with_model(self, model: ModelConfig) -> Self:
        """Return the same system with another model."""
        return replace(self, model=model)


@dataclass(frozen=True, kw_only=True)
class OwnSystem:
    """A system of its user's own: what these kinds have in common."""

    name: str
    kind: SystemKind
    model: ModelConfig
    """Its limits."""
    settings: OwnSystemConfig
    retriever: Final[str | None] = None
    prompt: Final[Prompt | None] = None
    brings_contexts: Final[bool] = True

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything of its settings that its answers depend on."""
        return own_settings(self.settings)

    @property
    def caller(self) -> Caller | None:
        """How it is asked."""
        return None

    def recorded(self, questions: Sequence[Question], repeat: int) -> Sequence[ChatReply] | None:
        """Return None: it has to be asked."""
        del questions, repeat
        return None

    def request(self, question: Question, contexts: Sequence[Document]) -> ChatRequest:
        """Return what is sent: the question with all that may be said of it."""
        del contexts
        return ChatRequest(
            messages=[*question.history, {"role": "user", "content": question.question}],
            caller=self.caller,
            metadata=question.tags,
            conversation=question.conversation or question.question_id,
        )

    def context_ids(self, question: Question, found: Sequence[str]) -> tuple[str, ...]:
        """Return nothing: what it was shown, it says itself."""
        del question, found
        return ()

    def with_model(self, model: ModelConfig) -> Self:
        """Return the same system with other limits."""
        return replace(self, model=model)


def documents_of(ids: Sequence[str], documents: Mapping[str, Document]) -> list[Document]:
    """Return the documents with these ids, in their order."""
    return [documents[document_id] for document_id in ids]
