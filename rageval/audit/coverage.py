"""Documents and questions -> what is asked about too little, or too much."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median
from typing import Final

from rageval.audit.findings import Finding
from rageval.records import Document, Question

CROWDED_TIMES: Final = 3
CROWDED_MORE: Final = 5


def uneven_coverage(documents: Sequence[Document], questions: Sequence[Question]) -> Iterator[Finding]:
    """Yield findings about courses, sections and documents without questions, and documents with far too many.

    A document is crowded if it has more than `CROWDED_TIMES` times the median of its course's documents that have
    questions, and at least `CROWDED_MORE` more than it. Of an uncovered course or section nothing further is said
    than its name: its documents are not listed one by one.
    """
    counts = Counter(question.document_id for question in questions)
    for course, of_course in groupby(sorted(documents, key=lambda d: d.course), key=lambda d: d.course):
        yield from _of_course(course, list(of_course), counts)


def _of_course(course: str, documents: Sequence[Document], counts: Counter[str]) -> Iterator[Finding]:
    asked = [counts[document.document_id] for document in documents if counts[document.document_id]]
    if not asked:
        yield Finding(
            kind="uncovered_course", severity="warning", course=course, measure=float(len(documents)),
            what=f"None of the {len(documents)} documents of {course} has a question.",
            fix="Write or generate questions (rageval ground-truth generate --course ...), if it is to be evaluated.",
        )  # fmt: skip
        return
    for section, group in groupby(sorted(documents, key=lambda d: d.section), key=lambda d: d.section):
        of_section = list(group)
        bare = [document for document in of_section if not counts[document.document_id]]
        if len(bare) == len(of_section):
            yield Finding(
                kind="uncovered_section", severity="warning", course=course, measure=float(len(bare)),
                document_ids=tuple(document.document_id for document in bare),
                what=f"None of the {len(bare)} documents of the section {section!r} has a question.",
                fix="Write or generate questions for it.",
            )  # fmt: skip
            continue
        for document in bare:
            yield Finding(
                kind="uncovered_document", severity="note", course=course, document_ids=(document.document_id,),
                what=f"No question is asked about {document.question[:80]!r}.",
                fix="Write or generate questions for it.",
            )  # fmt: skip
    yield from _crowded(course, documents, counts, median(asked))


def _crowded(course: str, documents: Sequence[Document], counts: Counter[str], typical: float) -> Iterator[Finding]:
    for document in documents:
        count = counts[document.document_id]
        if count > CROWDED_TIMES * typical and count >= typical + CROWDED_MORE:
            yield Finding(
                kind="crowded_document", severity="warning", course=course, document_ids=(document.document_id,),
                measure=float(count), what=f"It has {count} questions; the median of its course is {typical:g}.",
                fix="Draw as many of them as other documents have.",
            )  # fmt: skip
