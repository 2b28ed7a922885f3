"""Contexts that a system says it was shown <-> documents of the run, by id or else by text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rageval.records import Context, Document
from rageval.text.fingerprint import digest


@dataclass(frozen=True, kw_only=True)
class MatchedContexts:
    """The columns of an answer that say what its system was shown."""

    ids: tuple[str, ...] | None
    texts: tuple[str | None, ...] | None = None
    scores: tuple[float | None, ...] | None = None


@dataclass(frozen=True)
class ContextMatching:
    """Finds the document of each context; what belongs to none keeps its own id, or gets one that its text makes."""

    documents: Mapping[str, Document]

    def matched(self, contexts: Sequence[Context] | None) -> MatchedContexts:
        """Return the columns for what a system says; None where it does not say."""
        if contexts is None:
            return MatchedContexts(ids=None)
        ids = tuple(self._id(context) for context in contexts)
        texts = tuple(None if id_ in self.documents else c.text for id_, c in zip(ids, contexts, strict=True))
        scores = tuple(context.score for context in contexts)
        return MatchedContexts(
            ids=ids,
            texts=texts if any(text is not None for text in texts) else None,
            scores=scores if any(score is not None for score in scores) else None,
        )

    def _id(self, context: Context) -> str:
        if context.id is not None and context.id in self.documents:
            return context.id
        if context.id is None and context.text is not None and context.text in self.documents:
            return context.text  # a list of ids, where texts may stand, too
        text = " ".join((context.text or "").split())
        by_text = self._by_text.get(text) if text else None
        return by_text or context.id or f"text-{digest(text)[:16]}"

    @cached_property
    def _by_text(self) -> Mapping[str, str]:
        return {" ".join(document.text.split()): id_ for id_, document in reversed([*self.documents.items()])}


def shown_documents(row: Mapping[str, Any], documents: Mapping[str, Document]) -> list[Document] | None:
    """Return what the system of an answer was shown, in its order; None where nobody knows, or a text is not known.

    Args:
        row: Of the answers.
        documents: Of the run, by id.
    """
    ids = row.get("context_ids")
    if ids is None:
        return None
    texts = row.get("context_texts") or [None] * len(ids)
    shown = [
        documents[id_] if id_ in documents
        else None if text is None
        else Document(document_id=id_, text=text, content_hash="")
        for id_, text in zip(ids, texts, strict=True)
    ]  # fmt: skip
    known = [document for document in shown if document]
    return known if len(known) == len(shown) else None
