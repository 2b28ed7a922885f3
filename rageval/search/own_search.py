"""What a retriever of one's own brings for a question, and the Protocol of whatever searches with one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rageval.embedding.embedding_model import Matrix
from rageval.records import Question


@dataclass(frozen=True, kw_only=True)
class PassageHit:
    """A text that a retriever has brought, which no file of ours has to hold."""

    document_id: str
    """The id of its document; empty where it has none."""
    text: str = ""
    """Empty where the retriever brings ids alone."""
    title: str = ""
    score: float


@dataclass(frozen=True, kw_only=True)
class PassageResult:
    """What was brought for one question, best first, or why nothing was."""

    hits: tuple[PassageHit, ...] = ()
    latency_s: float
    error: str | None = None


class OwnSearch(Protocol):
    """Searches with one retriever of one's own."""

    @property
    def needs_vectors(self) -> bool:
        """Whether it is asked with vectors of the questions."""

    @property
    def identity(self) -> str:
        """Text that changes with everything of ours that decides what is found."""

    def search(self, questions: Sequence[Question], vectors: Matrix | None) -> list[PassageResult]:
        """Return what is found for each question, in their order; one that fails has an error.

        Args:
            questions: What is searched for.
            vectors: A row for each question, where they are needed.

        Raises:
            InputError: If no search can work, whatever is searched for.
        """

    def close(self) -> None:
        """Give back connections."""
