"""Questions that stand with several documents -> which ones, and whether these say the same."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rageval.audit.answerability import is_placeholder
from rageval.audit.findings import Finding
from rageval.audit.neighbours import Matrix
from rageval.audit.words import same_text_key
from rageval.records import Document, Question

_SHOWN = 50
_NAMED = 15


def several_documents(
    questions: Sequence[Question],
    documents: Mapping[str, Document],
    vectors: Mapping[str, Matrix],
    threshold: float,
) -> Iterator[Finding]:
    """Yield a finding for each question text that stands with several documents of its filter value.

    Args:
        questions: All questions.
        documents: Their documents, by id.
        vectors: Embeddings of documents, by id, each of shape `(d,)` and length 1; those that are missing are not
            compared.
        threshold: Cosine from which two documents are called duplicates of each other.
    """
    rows: defaultdict[tuple[str, str], list[Question]] = defaultdict(list)
    for question in questions:
        rows[question.filter_value, question.question].append(question)
    for (filter_value, text), group in rows.items():
        if len(group) < 2:
            continue
        named = [documents[question.made_from] for question in group]
        relation, are_same = _relation(named, vectors, threshold)
        yield Finding(
            kind="several_documents", severity="warning", filter_value=filter_value or None,
            document_ids=tuple(document.document_id for document in named),
            question_ids=tuple(question.question_id for question in group), question=text, measure=float(len(group)),
            what=f"It stands with {len(group)} documents: {_named(named)}. {relation}"
            + (" It is a placeholder and asks nothing." if is_placeholder(text) else ""),
            fix=_fix(text, are_same=are_same),
        )  # fmt: skip


def _fix(text: str, *, are_same: bool) -> str:
    if is_placeholder(text):
        return "Remove these rows: no search can know which of the documents is meant."
    if are_same:
        return "Merge the documents, or set retrieval.accept_alternates."
    return "Say in each question what sets it apart, or set retrieval.accept_alternates if each document answers it."


def _relation(named: Sequence[Document], vectors: Mapping[str, Matrix], threshold: float) -> tuple[str, bool]:
    """Return in words how alike the documents are, and whether all of them are duplicates."""
    if len({same_text_key(document.text) for document in named}) == 1:
        return "They have the same text.", True
    known = [vectors[document.document_id] for document in named if document.document_id in vectors]
    if len(known) < 2:
        return "Their texts differ.", False
    cosines = np.stack(known) @ np.stack(known).T
    pairs = cosines[np.triu_indices(len(known), k=1)]
    if pairs.min() >= threshold:
        return f"They are nearly the same (cosine from {pairs.min():.2f}).", True
    alike = int((pairs >= threshold).sum())
    if alike:
        return f"{alike} of their {len(pairs)} pairs are nearly the same (cosine up to {pairs.max():.2f}).", False
    return f"They are no duplicates of each other (cosine {pairs.min():.2f} to {pairs.max():.2f}).", False


def _named(named: Sequence[Document]) -> str:
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(f'{d.document_id} ("{_cut(d.title or d.text)}")' for d in named[:_NAMED]) + more


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return f"{line[:_SHOWN]}…" if len(line) > _SHOWN else line
