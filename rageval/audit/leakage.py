"""Questions and their documents -> questions that repeat the document's words.

Text search looks for words. A question that was written by copying is found by it more easily than a question
of somebody who has not read the document, so text search looks better than it will be.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rageval.audit.findings import Finding
from rageval.audit.words import words
from rageval.records import Document, Question

COPIED_SHARE: Final = 0.5
"""Share of a question's word triples in the document from which it counts as copied."""
COPIED_RUN: Final = 8
"""Words in a row, found in the document, from which a question counts as copied."""
FEWEST_WORDS: Final = 5
"""Shorter questions are never called copied: there are few ways to ask them."""
OFTEN: Final = 0.1
"""Share of the questions of a filter value that may be copied before it is named."""


@dataclass(frozen=True, kw_only=True)
class QuestionOverlap:
    """How much of a question stands in its document, word by word."""

    words: int
    share: float | None
    """Triples of neighbouring words found in the document / all of the question's triples, in [0, 1]; None below
    three words."""
    longest_run: int
    """The longest run of the question's words that stands in the document's title or in its text."""

    @property
    def is_copied(self) -> bool:
        """Whether the question counts as copied."""
        if self.words < FEWEST_WORDS:
            return False
        return (self.share or 0.0) >= COPIED_SHARE or self.longest_run >= COPIED_RUN


def copying(question: str, title: str, text: str) -> QuestionOverlap:
    r"""Return how much of a question stands in its document.

    $$ \text{share} = \frac{|\{i : (w_i, w_{i+1}, w_{i+2}) \in T\}|}{n - 2} $$

    where $w_1 \dots w_n$ are the question's words and $T$ the word triples of the document's title and of its text.
    It is the containment of w-shingles (Broder 1997) with w = 3, counted with repetitions. Case, marks and white space
    are ignored, see `words`. No run and no triple reaches from the title into the text.

    Args:
        question: The question.
        title: The title of its document.
        text: The text of its document.
    """
    asked = words(question)
    parts = [words(title), words(text)]
    triples = {triple for part in parts for triple in zip(part, part[1:], part[2:], strict=False)}
    own = list(zip(asked, asked[1:], asked[2:], strict=False))
    return QuestionOverlap(
        words=len(asked),
        share=sum(triple in triples for triple in own) / len(own) if own else None,
        longest_run=max(_longest_run(asked, part) for part in parts),
    )


def copied_questions(questions: Sequence[Question], documents: Mapping[str, Document]) -> Iterator[Finding]:
    """Yield a note for each question that copies its document, and a warning for each filter value where many do."""
    asked: Counter[str] = Counter()
    copied: Counter[str] = Counter()
    for question in questions:
        document = documents[question.made_from]
        found = copying(question.question, document.title, document.text)
        asked[question.filter_value] += 1
        if not found.is_copied:
            continue
        copied[question.filter_value] += 1
        yield Finding(
            kind="copied_words", severity="note", filter_value=question.filter_value or None,
            document_ids=(question.made_from,),
            question_ids=(question.question_id,), question=question.question, measure=found.share,
            what=f"{found.share or 0:.0%} of its word triples stand in the document, and {found.longest_run} words "
            "in a row.",
            fix="Ask it in other words, as somebody would who has not read the document.",
        )  # fmt: skip
    for value, count in copied.items():
        if count > OFTEN * asked[value]:
            yield Finding(
                kind="copied_often", severity="warning", filter_value=value or None, measure=count / asked[value],
                what=f"{count} of {asked[value]} questions ({count / asked[value]:.0%}) are in the document's words.",
                fix="Write questions in other words, or generate them anew (rageval ground-truth generate).",
            )  # fmt: skip


def _longest_run(asked: Sequence[str], part: Sequence[str]) -> int:
    """Return the length of the longest common run of words: one row of the usual table at a time."""
    longest = 0
    ends: dict[int, int] = {}
    places: dict[str, list[int]] = {}
    for place, word in enumerate(part):
        places.setdefault(word, []).append(place)
    for word in asked:
        ends = {place: ends.get(place - 1, 0) + 1 for place in places.get(word, ())}
        longest = max(longest, max(ends.values(), default=0))
    return longest
