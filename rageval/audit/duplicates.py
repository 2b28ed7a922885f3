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


def same_documents(documents: Sequence[Document], filter_by: str = "") -> Iterator[Finding]:
    """Yield a finding for each group of documents of one filter value that are identical but for their ids."""
    for group in _groups(documents, lambda d: (d.content_hash,)):
        yield Finding(
            kind="same_document", severity="warning", filter_value=group[0].filter_value(filter_by) or None,
            document_ids=_ids(group),
            what=f"{_named(group)} are the same document.",
            fix="Keep one of them and point the questions of the others to it; --fix does.",
        )  # fmt: skip


def same_texts(documents: Sequence[Document], filter_by: str = "") -> Iterator[Finding]:
    """Yield a finding for each group of documents with the same text; a note if no search meets two of them.

    Texts that differ only in white space count as the same. Identical documents are not named again.
    """
    for group in _groups(documents, lambda d: (same_text_key(d.text),)):
        if len({document.content_hash for document in group}) == 1:
            continue
        values = [document.filter_value(filter_by) for document in group]
        shared = len(set(values)) < len(values)
        text = _quoted(group[0].text)
        yield Finding(
            kind="same_text", severity="warning" if shared else "note",
            filter_value=(values[0] or None) if len(set(values)) == 1 else None, document_ids=_ids(group),
            what=f"{_named(group)} have the same text: {text}."
            + ("" if shared else f" Their values of {filter_by} differ, so no search meets both."),
            fix="Write the missing answers, or remove these documents, if the text is a placeholder; else merge them."
            if shared
            else "Nothing, unless the text is a placeholder.",
        )  # fmt: skip


def same_titles(documents: Sequence[Document], filter_by: str = "") -> Iterator[Finding]:
    """Yield a finding for each group of documents of one filter value with the same title and different texts."""
    titled = [document for document in documents if document.title.strip()]
    for group in _groups(titled, lambda d: (d.filter_value(filter_by), same_question_key(d.title))):
        texts = {same_text_key(document.text) for document in group}
        if len(texts) > 1:
            yield Finding(
                kind="same_title", severity="warning", filter_value=group[0].filter_value(filter_by) or None,
                document_ids=_ids(group),
                what=f"{_listed(group)} have the same title, {_quoted(group[0].title)}, and different texts.",
                fix="Merge their texts into one document, or say in each title what sets it apart.",
            )  # fmt: skip


def near_duplicates(
    documents: Sequence[Document], vectors: Matrix, threshold: float, filter_by: str = ""
) -> Iterator[Finding]:
    """Yield a finding for each group of nearly the same documents of one filter value.

    Groups that are identical or have the same text or title are named by the other findings, unless a further
    document belongs to the group.

    Args:
        documents: The documents.
        vectors: Their embeddings of title and text, shape `(len(documents), d)`, rows of length 1.
        threshold: Cosine from which two documents count, see `near_groups`.
        filter_by: The metadata that restricts the search; empty without one.
    """
    by_value: defaultdict[str, list[int]] = defaultdict(list)
    for position, document in enumerate(documents):
        by_value[document.filter_value(filter_by)].append(position)
    for value, positions in by_value.items():
        for found in near_groups(vectors[positions], threshold):
            group = [documents[positions[member]] for member in found.members]
            texts = {same_text_key(document.text) for document in group}
            titles = {same_question_key(document.title) for document in group}
            if len(texts) == 1 or (len(titles) == 1 and titles != {""}):
                continue
            yield Finding(
                kind="near_duplicate", severity="warning", filter_value=value or None, document_ids=_ids(group),
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
    """Return ids with the beginning of their titles, or of their texts where they have none."""
    more = f" and {len(group) - shown} more" if len(group) > shown else ""
    return ", ".join(f"{d.document_id} ({_quoted(d.title or d.text)})" for d in group[:shown]) + more


def _quoted(text: str) -> str:
    line = " ".join(text.split())
    return f'"{line[:_SHOWN]}…"' if len(line) > _SHOWN else f'"{line}"'
