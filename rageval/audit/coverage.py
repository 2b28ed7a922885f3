"""Documents and questions -> what is asked about too little, or too much."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from rageval.audit.findings import Finding
from rageval.records import Document, Question

CROWDED_TIMES: Final = 3
CROWDED_MORE: Final = 5
MOST_GROUPS: Final = 20
"""A column of the documents with more values is no way to group them."""


def uneven_coverage(
    documents: Sequence[Document], questions: Sequence[Question], filter_by: str = ""
) -> Iterator[Finding]:
    """Yield findings about values and documents without questions, and documents with far too many.

    A document is crowded if it has more than `CROWDED_TIMES` times the median of the documents with its filter value
    that have questions, and at least `CROWDED_MORE` more than it. Of an uncovered filter value, or group of documents
    that share a value in one of their columns, nothing further is said than its name: its documents are not listed one
    by one.
    """
    counts = Counter(question.made_from for question in questions)
    by_value: defaultdict[str, list[Document]] = defaultdict(list)
    for document in documents:
        by_value[document.filter_value(filter_by)].append(document)
    for value, group in sorted(by_value.items()):
        yield from _of_value(value, group, counts, filter_by)


def _of_value(value: str, documents: Sequence[Document], counts: Counter[str], filter_by: str) -> Iterator[Finding]:
    asked = [counts[document.document_id] for document in documents if counts[document.document_id]]
    if not asked:
        with_it = f" with the {filter_by} {value!r}" if value else ""
        yield Finding(
            kind="uncovered_filter_value", severity="warning", filter_value=value or None,
            measure=float(len(documents)), what=f"None of the {len(documents)} documents{with_it} has a question.",
            fix="Write or generate questions (rageval ground-truth generate), if it is to be evaluated.",
        )  # fmt: skip
        return
    said: set[str] = set()
    for name, its_value, group in _bare_groups(documents, counts, filter_by):
        ids = tuple(document.document_id for document in group)
        said.update(ids)
        yield Finding(
            kind="uncovered_group", severity="warning", filter_value=value or None, measure=float(len(group)),
            document_ids=ids, what=f"None of the {len(group)} documents with the {name} {its_value!r} has a question.",
            fix="Write or generate questions for it.",
        )  # fmt: skip
    for document in documents:
        if not counts[document.document_id] and document.document_id not in said:
            yield Finding(
                kind="uncovered_document", severity="note", filter_value=value or None,
                document_ids=(document.document_id,),
                what=f"No question is asked about {(document.title or document.text)[:80]!r}.",
                fix="Write or generate questions for it.",
            )  # fmt: skip
    yield from _crowded(value, documents, counts, median(asked))


def _bare_groups(
    documents: Sequence[Document], counts: Counter[str], filter_by: str
) -> Iterator[tuple[str, str, list[Document]]]:
    """Yield column, value and documents of each group of which no document has a question."""
    groups: defaultdict[str, defaultdict[str, list[Document]]] = defaultdict(lambda: defaultdict(list))
    for document in documents:
        for name, value in document.metadata.items():
            groups[name][value].append(document)
    for name, by_value in sorted(groups.items()):
        if name == filter_by or not 2 <= len(by_value) <= MOST_GROUPS:
            continue
        for value, group in sorted(by_value.items()):
            if not any(counts[document.document_id] for document in group):
                yield name, value, group


def _crowded(value: str, documents: Sequence[Document], counts: Counter[str], typical: float) -> Iterator[Finding]:
    for document in documents:
        count = counts[document.document_id]
        if count > CROWDED_TIMES * typical and count >= typical + CROWDED_MORE:
            yield Finding(
                kind="crowded_document", severity="warning", filter_value=value or None,
                document_ids=(document.document_id,), measure=float(count),
                what=f"It has {count} questions; the median of such documents is {typical:g}.",
                fix="Draw as many of them as other documents have.",
            )  # fmt: skip
