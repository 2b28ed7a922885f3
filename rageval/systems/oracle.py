"""A model that is shown the relevant documents: how well it would answer if retrieval never missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rageval.config.systems import SystemKind
from rageval.records import Question
from rageval.systems.system import PromptedModel


@dataclass(frozen=True, kw_only=True)
class Oracle(PromptedModel):
    """A model that is shown every document that the ground truth names for the question, highest grade first."""

    retriever: None = None
    kind: Final[SystemKind] = "oracle"

    def context_ids(self, question: Question, found: Sequence[str]) -> tuple[str, ...]:
        """Return the relevant documents; of equal grades, the row's own document comes first."""
        grades = question.relevant(accept_alternates=True)
        return tuple(sorted(grades, key=lambda document_id: -grades[document_id]))
