"""Items of a file, whoever wrote it -> the questions of a run, each once, with all that any of its rows says."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson

from rageval.config.columns import ColumnConfig
from rageval.corpus.item_files import read_items
from rageval.corpus.items import RawItem
from rageval.corpus.messages import count, listed, raise_problems
from rageval.errors import DataError
from rageval.records import Document, Question
from rageval.text.fingerprint import digest


@dataclass(frozen=True, kw_only=True)
class ItemQuestions:
    """The questions of a file, and what was merged, recognised or is missing."""

    questions: tuple[Question, ...]
    notes: tuple[str, ...]


def read_questions_of(
    path: str, columns: Sequence[ColumnConfig], documents: Mapping[str, Document], filter_by: str = ""
) -> ItemQuestions:
    """Return the questions of a file of questions, or of recorded answers.

    Args:
        path: Path or URL of the file.
        columns: What the user says of its columns.
        documents: Those of the run by id; relevant ids that are none of them may be those of passages.
        filter_by: The column that restricts the search; empty without one.

    Raises:
        DataError: If the file cannot be read, or a row is bad (all of them are listed together).
        ConfigError: If the run may not read it.
    """
    notes: dict[str, None] = {}
    problems: list[str] = []

    def items() -> Iterator[RawItem]:
        for batch in read_items(path, columns):
            notes.setdefault(batch.note)
            problems.extend(batch.problems)
            yield from batch.items

    found = questions_of(items(), documents, filter_by)
    raise_problems(problems)
    return replace(found, notes=(*(note for note in notes if note), *found.notes))


def questions_of(items: Iterable[RawItem], documents: Mapping[str, Document], filter_by: str = "") -> ItemQuestions:
    """Return the question of each item; items of one question, such as answers of several systems, become one.

    What the first of them does not say, a later one may. A question without references whose items name exactly one
    relevant document has the text of that as its reference.

    Raises:
        DataError: If two items have one id and other questions, or nothing tells them apart.
    """
    questions: dict[str, Question] = {}
    unlike: Counter[str] = Counter()
    for item in items:
        question = _question(item, filter_by)
        before = questions.get(question.question_id)
        if before is None:
            questions[question.question_id] = question
        elif (before.question, before.history) != (question.question, question.history):
            unlike[question.question_id] += 1
        elif before != question:
            questions[question.question_id] = _merged(before, question)
    if unlike:
        raise DataError(
            f"{count(len(unlike), 'id')} of questions stand for several questions: {listed([*unlike])}; give each "
            "question an id of its own"
        )
    known = tuple(_with_reference(question, documents) for question in questions.values())
    return ItemQuestions(questions=known, notes=tuple(_notes(known, documents)))


def id_of(item: RawItem) -> str:
    """Return the id of an item's question: its own, or a hash of the question, the turns before it and its references.

    A question that stands twice with other references is two questions.
    """
    if item.question_id is not None:
        return item.question_id
    turns = orjson.dumps([dict(turn) for turn in item.history]).decode() if item.history else ""
    return digest(item.question or "", turns, *item.references)[:16]


def _question(item: RawItem, filter_by: str) -> Question:
    tags = dict(item.tags)
    if item.turn is not None:
        tags.setdefault("turn", str(item.turn))
    return Question(
        question_id=id_of(item),
        question=item.question or item.question_id or "",
        history=item.history,
        filter_value=tags.get(filter_by, "") if filter_by else "",
        references=item.references,
        relevant_ids=item.relevant_ids,
        relevant_grades=item.relevant_grades or (1,) * len(item.relevant_ids),
        relevant_texts=item.relevant_texts,
        answerable=item.answerable,
        conversation=item.conversation or "",
        tags=tags,
    )


def _merged(before: Question, after: Question) -> Question:
    """Return a question with what a later row says beside the first one."""
    relevant = before if before.relevant_ids else after
    return replace(
        before,
        references=before.references or after.references,
        relevant_ids=relevant.relevant_ids,
        relevant_grades=relevant.relevant_grades,
        relevant_texts=before.relevant_texts or after.relevant_texts,
        answerable=after.answerable if before.answerable is None else before.answerable,
        conversation=before.conversation or after.conversation,
    )


def _with_reference(question: Question, documents: Mapping[str, Document]) -> Question:
    if question.references or len(question.relevant_ids) != 1 or question.relevant_ids[0] not in documents:
        return question
    return replace(question, references=(documents[question.relevant_ids[0]].text,))


def _notes(questions: Sequence[Question], documents: Mapping[str, Document]) -> Iterator[str]:
    without = sum(not question.references for question in questions)
    if without:
        said = f"{without:,} of {count(len(questions), 'question')}"
        yield f"{said} have no reference, and metrics that need one are not measured of them"
    named = {name for question in questions for name in question.relevant_ids}
    if documents and (unknown := sorted(named - documents.keys())):
        yield f"{count(len(unknown), 'relevant id')} are none of the documents: {listed(unknown)}"
