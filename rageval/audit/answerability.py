"""Questions, documents and how close they are -> questions that their document hardly answers.

What is found are candidates: a person has to look at them. Words that point elsewhere are English ones.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from rageval.audit.findings import Finding
from rageval.audit.neighbours import Closeness
from rageval.audit.words import same_text_key, without_urls, words
from rageval.records import Document, Question

FAR_RANK: Final = 20
"""A question whose document is not among so many closest ones is far from it."""
LOW_QUANTILE: Final = 0.01
"""Share of the questions of a filter value whose cosine counts as low."""
_ENOUGH_FOR_QUANTILES = 100
FEWEST_WORDS: Final = 4
"""A reference with fewer words, web addresses left out, is tiny."""
_POINTING_WORDS = 12
_POINTING = re.compile(
    r"\b(see|refer to|check|read|follow|look at|moved)\b.{0,30}"
    r"\b(above|below|here|previous|earlier|answer|link|links)\b",
    re.IGNORECASE | re.DOTALL,
)


def is_placeholder(question: str) -> bool:
    """Return whether a question has at most one word, and so asks nothing."""
    return len(words(question)) <= 1


def placeholder_questions(questions: Sequence[Question]) -> Iterator[Finding]:
    """Yield a finding for each question that asks nothing, with the number of rows that have its text."""
    rows = Counter(question.question for question in questions)
    for question in questions:
        if is_placeholder(question.question):
            again = rows[question.question] - 1
            rows_have = "row has" if again == 1 else "rows have"
            yield Finding(
                kind="placeholder_question", severity="warning", filter_value=question.filter_value or None,
                document_ids=(question.made_from,), question_ids=(question.question_id,), question=question.question,
                what="It is no question" + (f"; {again} other {rows_have} the same text." if again else "."),
                fix="Remove the row, or write the question.",
            )  # fmt: skip


def poor_references(
    documents: Sequence[Document], questions: Sequence[Question], filter_by: str = ""
) -> Iterator[Finding]:
    """Yield a finding for each document whose text is no reference answer, if it has questions."""
    asked = Counter(question.made_from for question in questions)
    for document in documents:
        count = asked[document.document_id]
        kind = _poor(document.text) if count else None
        if kind:
            text = same_text_key(document.text)
            yield Finding(
                kind=kind, severity="warning", filter_value=document.filter_value(filter_by) or None,
                document_ids=(document.document_id,),
                measure=float(len(words(without_urls(document.text)))),
                what=f"The whole text is {text[:100]!r}; it is the reference of {count} "
                f"{'questions' if count > 1 else 'question'}.",
                fix="Write the answer into the document, or remove its questions.",
            )  # fmt: skip


def far_questions(questions: Sequence[Question], documents: Sequence[Document], close: Closeness) -> Iterator[Finding]:
    """Yield a finding for each question that is far from its document; all of one filter value.

    A question is far if its document is not among the `FAR_RANK` closest, or if another document is closer and
    its cosine is in the lowest `LOW_QUANTILE` of them (of a hundred questions or more). Placeholders have a
    finding of their own.

    Args:
        questions: Questions of one filter value, or all where there is no filter.
        documents: The documents of that value, in the order that `close` was computed with.
        close: How close each question is to its own document.
    """
    enough = len(questions) >= _ENOUGH_FOR_QUANTILES
    low = float(np.quantile(close.cosines, LOW_QUANTILE)) if enough else -np.inf
    for question, cosine, rank, nearest in zip(
        questions, close.cosines.tolist(), close.ranks.tolist(), close.nearest.tolist(), strict=True
    ):
        far = rank > FAR_RANK
        if is_placeholder(question.question) or not (far or (rank > 1 and cosine <= low)):
            continue
        yield Finding(
            kind="far_question", severity="warning" if far else "note",
            filter_value=question.filter_value or None,
            document_ids=(question.made_from,), question_ids=(question.question_id,), question=question.question,
            measure=cosine,
            what=f"Its document is at rank {rank} of {len(documents)} (cosine {cosine:.2f}); the closest is "
            f"{documents[nearest].document_id} ({(documents[nearest].title or documents[nearest].text)[:60]!r}).",
            fix="Read both: point it to the right document, make it more specific, or remove it.",
        )  # fmt: skip


def _poor(text: str) -> str | None:
    """Return the kind of finding that a reference deserves, if any."""
    bare = words(without_urls(text))
    if without_urls(text) != text and len(bare) < _POINTING_WORDS // 2:
        return "pointing_reference"
    if len(bare) <= _POINTING_WORDS and _POINTING.search(text):
        return "pointing_reference"
    if len(bare) < FEWEST_WORDS:
        return "tiny_reference"
    return None
