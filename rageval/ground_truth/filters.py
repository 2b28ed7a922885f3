"""Questions that a model wrote -> which of them are kept, and why the others are not.

The filters run in a fixed order, and a question is dropped by the first that catches it: its words, repeats within
its filter value, copied words, closeness to other questions. What is left may be checked by a model.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import numpy as np

from rageval.audit.leakage import QuestionOverlap, copying
from rageval.audit.neighbours import BLOCK_ROWS, Matrix
from rageval.audit.words import same_question_key, words
from rageval.records import Document

Status: TypeAlias = Literal["kept", "dropped", "failed"]

TOO_SHORT: Final = "too short"
REPEATED: Final = "repeats a question of the same document"
AMBIGUOUS: Final = "another document has the same question"
COPIED: Final = "copied from the document"
NEAR: Final = "nearly repeats a question of the same document"
NEAR_OTHER: Final = "another document has nearly the same question"
UNANSWERABLE: Final = "its document does not answer it"
UNCHECKED: Final = "could not be checked"
NO_REPLY: Final = "no reply"
UNREADABLE: Final = "unreadable reply"


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One question that a model wrote, or the reason why a document has none."""

    document: Document
    number: int
    """Place in the model's reply, from 1; 0 where there is no question."""
    question: str | None
    status: Status = "kept"
    reason: str | None = None
    detail: str | None = None
    copied: QuestionOverlap | None = None
    answerable: Literal["YES", "NO"] | None = None

    @property
    def text(self) -> str:
        """The question, empty where there is none."""
        return self.question or ""


@dataclass
class _EarlierQuestions:
    """What the questions so far have said, with one filter value."""

    first: dict[str, Draft] = field(default_factory=dict)
    documents: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def filter_texts(drafts: Sequence[Draft], *, fewest_words: int, filter_by: str = "") -> list[Draft]:
    """Drop what is too short, what stands twice, and what copies its document.

    Two questions are the same if they differ only in case, white space, width or their last marks. Of the same
    document the first is kept. If documents with one filter value share a question, all of it are dropped: it has
    more than one right document.

    Args:
        drafts: All drafts of the run, in the order of the documents and of the replies.
        fewest_words: Questions with fewer words are too short.
        filter_by: The metadata that restricts the search; empty without one.
    """
    seen: defaultdict[str, _EarlierQuestions] = defaultdict(_EarlierQuestions)
    for draft in drafts:
        if draft.status == "kept":
            of_value = seen[draft.document.filter_value(filter_by)]
            of_value.documents[same_question_key(draft.text)].add(draft.document.document_id)
    return [_filtered(draft, seen[draft.document.filter_value(filter_by)], fewest_words) for draft in drafts]


def filter_near(drafts: Sequence[Draft], vectors: Matrix, threshold: float, filter_by: str = "") -> list[Draft]:
    """Drop what nearly repeats another question with its filter value.

    Of one document's questions the first is kept. Questions of different documents are dropped both: either document
    may be right for either.

    Args:
        drafts: All drafts.
        vectors: Embeddings of the kept ones, in their order, rows of length 1.
        threshold: Cosine from which two questions count as the same.
        filter_by: The metadata that restricts the search; empty without one.
    """
    kept = [position for position, draft in enumerate(drafts) if draft.status == "kept"]
    result = list(drafts)
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, position in enumerate(kept):
        rows[drafts[position].document.filter_value(filter_by)].append(row)
    for of_value in rows.values():
        mine = [drafts[kept[row]] for row in of_value]
        for place, other, cosine in _near(mine, vectors[of_value], threshold):
            draft, twin = mine[place], mine[other]
            same = draft.document.document_id == twin.document.document_id
            detail = f"{twin.document.document_id}: {twin.text} (cosine {cosine:.3f})"
            result[kept[of_value[place]]] = replace(
                draft, status="dropped", reason=NEAR if same else NEAR_OTHER, detail=detail
            )
    return result


def count_reasons(drafts: Iterable[Draft]) -> Mapping[str, int]:
    """Return how many drafts are kept, and how many are not for each reason, the most frequent first."""
    counts: defaultdict[str, int] = defaultdict(int)
    for draft in drafts:
        counts[draft.reason or draft.status] += 1
    return dict(sorted(counts.items(), key=lambda item: (item[0] != "kept", -item[1])))


def _filtered(draft: Draft, seen: _EarlierQuestions, fewest_words: int) -> Draft:
    if draft.status != "kept":
        return draft
    key = same_question_key(draft.text)
    copied = copying(draft.text, draft.document.title, draft.document.text)
    draft = replace(draft, copied=copied)
    others = seen.documents[key] - {draft.document.document_id}
    if copied.words < fewest_words:
        return replace(draft, status="dropped", reason=TOO_SHORT, detail=f"{len(words(draft.text))} words")
    if others:
        return replace(draft, status="dropped", reason=AMBIGUOUS, detail=", ".join(sorted(others)[:10]))
    first = seen.first.setdefault(key, draft)
    if first is not draft:
        return replace(draft, status="dropped", reason=REPEATED, detail=f"question {first.number}")
    if copied.is_copied:
        detail = f"{copied.share or 0:.0%} of its word triples, {copied.longest_run} words in a row"
        return replace(draft, status="dropped", reason=COPIED, detail=detail)
    return draft


def _near(drafts: Sequence[Draft], vectors: Matrix, threshold: float) -> Iterable[tuple[int, int, float]]:
    """Yield each draft that has to go, the other one it is close to, and their cosine."""
    names = sorted({draft.document.document_id for draft in drafts})
    place = {name: number for number, name in enumerate(names)}
    owner = np.array([place[draft.document.document_id] for draft in drafts], dtype=np.int64)
    gone: set[int] = set()
    for start in range(0, len(drafts), BLOCK_ROWS):
        block = vectors[start : start + BLOCK_ROWS] @ vectors.T
        for offset, row in enumerate(block):
            here = start + offset
            close = np.flatnonzero(row >= threshold)
            foreign = close[owner[close] != owner[here]]
            # The earlier ones of the same document, as long as they stay themselves.
            own = [int(other) for other in close[(owner[close] == owner[here]) & (close < here)] if other not in gone]
            if len(foreign):
                best = int(foreign[row[foreign].argmax()])
            elif own:
                best = own[0]
            else:
                continue
            gone.add(here)
            yield here, best, float(min(1.0, row[best]))
