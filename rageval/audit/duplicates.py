"""Documents and their embeddings -> those that are the same, or nearly so."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rageval.audit.findings import Finding
from rageval.audit.neighbours import Matrix, near_groups
from rageval.audit.words import same_question_key, same_text_key
from rageval.records import Document

NEAR_THRESHOLD: Final = 0.95
"""Cosine from which two documents count as nearly the same, unless said otherwise."""
_SHOWN = 60


def same_documents(documents: Sequence[Document]) -> Iterator[Finding]:
    """Yield a finding for each group of documents of one course that are identical but for their ids."""
    for group in _groups(documents, lambda d: (d.course, d.content_hash)):
        yield Finding(
            kind="same_document", severity="warning", course=group[0].course, document_ids=_ids(group),
            what=f"{_named(group)} are the same document.",
            fix="Keep one of them and point the questions of the others to it; --fix does.",
        )  # fmt: skip


def same_texts(documents: Sequence[Document]) -> Iterator[Finding]:
    """Yield a finding for each group of documents with the same text; a note if they are of different courses.

    Texts that differ only in white space count as the same. Identical documents are not named again.
    """
    for group in _groups(documents, lambda d: (same_text_key(d.text),)):
        if len({(document.course, document.content_hash) for document in group}) == 1:
            continue
        courses = [document.course for document in group]
        shared = len(set(courses)) < len(courses)
        text = _quoted(group[0].text)
        yield Finding(
            kind="same_text", severity="warning" if shared else "note",
            course=courses[0] if len(set(courses)) == 1 else None, document_ids=_ids(group),
            what=f"{_named(group)} have the same text: {text}."
            + ("" if shared else " They belong to different courses, so no search meets both."),
            fix="Write the missing answers, or remove these documents, if the text is a placeholder; else merge them."
            if shared
            else "Nothing, unless the text is a placeholder.",
        )  # fmt: skip


def same_questions(documents: Sequence[Document]) -> Iterator[Finding]:
    """Yield a finding for each group of documents of one course with the same question and different texts."""
    for group in _groups(documents, lambda d: (d.course, same_question_key(d.question))):
        texts = {same_text_key(document.text) for document in group}
        if len(texts) > 1:
            yield Finding(
                kind="same_document_question", severity="warning", course=group[0].course, document_ids=_ids(group),
                what=f"{_listed(group)} ask the same, {_quoted(group[0].question)}, and have different texts.",
                fix="Merge their texts into one document, or say in each question what sets it apart.",
            )  # fmt: skip


def near_duplicates(documents: Sequence[Document], vectors: Matrix, threshold: float) -> Iterator[Finding]:
    """Yield a finding for each group of nearly the same documents of one course.

    Groups that are identical or have the same text or question are named by the other findings, unless a further
    document belongs to the group.

    Args:
        documents: The documents.
        vectors: Their embeddings of question and text, shape `(len(documents), d)`, rows of length 1.
        threshold: Cosine from which two documents count, see `near_groups`.
    """
    by_course: defaultdict[str, list[int]] = defaultdict(list)
    for position, document in enumerate(documents):
        by_course[document.course].append(position)
    for course, positions in by_course.items():
        for found in near_groups(vectors[positions], threshold):
            group = [documents[positions[member]] for member in found.members]
            texts = {same_text_key(document.text) for document in group}
            questions = {same_question_key(document.question) for document in group}
            if len(texts) == 1 or len(questions) == 1:
                continue
            yield Finding(
                kind="near_duplicate", severity="warning", course=course, document_ids=_ids(group),
                measure=found.highest, what=f"{_named(group)} are nearly the same (cosine up to {found.highest:.3f}).",
                fix="Merge them, or name all of them for their questions and set retrieval.accept_alternates.",
            )  # fmt: skip


def _groups(documents: Sequence[Document], key: Callable[[Document], tuple[str, ...]]) -> list[list[Document]]:
    groups: defaultdict[tuple[str, ...], list[Document]] = defaultdict(list)
    for document in documents:
        groups[key(document)].append(document)
    return [group for group in groups.values() if len(group) > 1]


def _ids(group: Sequence[Document]) -> tuple[str, ...]:
    return tuple(document.document_id for document in group)


def _listed(group: Sequence[Document], shown: int = 10) -> str:
    more = f" and {len(group) - shown} more" if len(group) > shown else ""
    return ", ".join(document.document_id for document in group[:shown]) + more


def _named(group: Sequence[Document], shown: int = 10) -> str:
    """Return ids with the beginning of their questions."""
    more = f" and {len(group) - shown} more" if len(group) > shown else ""
    return ", ".join(f"{d.document_id} ({_quoted(d.question)})" for d in group[:shown]) + more


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line[:_SHOWN]}…"' if len(line) > _SHOWN else f'"{line}"'
