"""The project's own chain: retriever, prompt, model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rageval.config.systems import SystemKind
from rageval.records import Question
from rageval.systems.system import PromptedModel


@dataclass(frozen=True, kw_only=True)
class Pipeline(PromptedModel):
    """A model that is shown what a retriever found."""

    retriever: str
    kind: Final[SystemKind] = "pipeline"

    def context_ids(self, question: Question, found: Sequence[str]) -> tuple[str, ...]:
        """Return what was found."""
        return tuple(found)
