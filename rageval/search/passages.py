"""Hits of retrievers of one's own -> documents of the run, and the texts that no file of ours holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rageval.records import Document, Hit
from rageval.search.own_search import PassageHit
from rageval.text.fingerprint import digest

_SUFFIX = 8


@dataclass(frozen=True, kw_only=True)
class MatchedHit:
    """A document that was found, and what a model is shown of it."""

    hit: Hit
    shown_id: str
    """Of the document whose text is shown: the same, unless other texts were brought under its id."""


class PassageMatching:
    """Finds the document of each hit: by its id, else by its text; what belongs to none becomes one of its own."""

    def __init__(self, documents: Sequence[Document], brought: Iterable[Document] = ()) -> None:
        """Know what there is already.

        Args:
            documents: Those of the run's own file, whose texts are shown whatever text is brought for them.
            brought: Those that retrievers of this run have brought before.
        """
        self._known = {document.document_id: document.text for document in documents}
        self._by_text = {_plain(document.text): document.document_id for document in reversed(documents)}
        self._brought = {document.document_id: document for document in brought}
        self._new: list[Document] = []

    @property
    def new(self) -> Sequence[Document]:
        """What was brought since, and has no document."""
        return self._new

    def matched(self, hits: Sequence[PassageHit]) -> list[MatchedHit]:
        """Return the documents of some hits, in their order.

        Passages of one document take one rank, that of the first, and are shown one below the other.
        """
        passages: dict[str, list[PassageHit]] = {}
        for hit in hits:
            passages.setdefault(self._document_id(hit), []).append(hit)
        return [
            MatchedHit(
                hit=Hit(document_id=document_id, score=of_one[0].score), shown_id=self._shown(document_id, of_one)
            )
            for document_id, of_one in passages.items()
        ]

    def text_of(self, shown_id: str) -> str:
        """Return the text that a model is shown under an id; empty where nobody has brought it."""
        brought = self._brought.get(shown_id)
        return brought.text if brought else self._known.get(shown_id, "")

    def lacks_text(self, shown_id: str) -> bool:
        """Return whether nobody has brought the text of a document that no file of ours holds."""
        return shown_id not in self._known and shown_id not in self._brought

    def _document_id(self, hit: PassageHit) -> str:
        if hit.document_id in self._known:
            return hit.document_id
        by_text = self._by_text.get(_plain(hit.text)) if hit.text.strip() else None
        return by_text or hit.document_id or f"text-{digest(_plain(hit.text))[:16]}"

    def _shown(self, document_id: str, passages: Sequence[PassageHit]) -> str:
        text = "\n\n".join(dict.fromkeys(one.text for one in passages if one.text.strip()))
        if document_id in self._known or not text:
            return document_id
        title = next((one.title for one in passages if one.title), "")
        shown_id = document_id
        if (before := self._brought.get(shown_id)) and before.text != text:
            shown_id = f"{document_id}#{digest(title, text)[:_SUFFIX]}"
        if shown_id not in self._brought:
            document = Document(document_id=shown_id, text=text, title=title, content_hash=digest(title, text))
            self._brought[shown_id] = document
            self._new.append(document)
        return shown_id


def _plain(text: str) -> str:
    """Return a text without what the way it was stored changes: spaces and line ends."""
    return " ".join(text.split())
