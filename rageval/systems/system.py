"""What the pipeline knows of whatever answers a question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from rageval.config.models import ModelConfig
from rageval.config.systems import SystemKind
from rageval.engine.requests import ChatRequest
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
    def prompt(self) -> Prompt:
        """What its model is asked with."""

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

    def with_model(self, model: ModelConfig) -> "System":
        """Return the same system with a model that an endpoint serves."""


@dataclass(frozen=True, kw_only=True)
class PromptedModel:
    """A model that is asked with a prompt: what the kinds of this project have in common."""

    name: str
    prompt: Prompt
    model: ModelConfig

    def request(self, question: Question, contexts: Sequence[Document]) -> ChatRequest:
        """Return the prompt, filled in."""
        return ChatRequest(messages=messages(self.prompt, question.question, contexts, metadata=question.tags))

    def with_model(self, model: ModelConfig) -> Self:
        """Return the same system with another model."""
        return replace(self, model=model)


def documents_of(ids: Sequence[str], documents: Mapping[str, Document]) -> list[Document]:
    """Return the documents with these ids, in their order."""
    return [documents[document_id] for document_id in ids]
