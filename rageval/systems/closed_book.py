"""A model that is shown nothing: what it knows without retrieval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rageval.config.systems import SystemKind
from rageval.records import Question
from rageval.systems.system import PromptedModel


@dataclass(frozen=True, kw_only=True)
class ClosedBook(PromptedModel):
    """A model without contexts."""

    retriever: None = None
    kind: Final[SystemKind] = "closed_book"

    def context_ids(self, question: Question, found: Sequence[str]) -> tuple[str, ...]:
        """Return none."""
        return ()
