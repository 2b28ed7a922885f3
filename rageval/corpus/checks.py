"""Rows as they stand in the files -> documents and questions that fit together, and what was wrong or merged.

Every bad row is found before anything is reported, so that a file is corrected once and not row by row.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rageval.corpus.grades import GRADE_COLUMN, grade_problems, read_grade
from rageval.corpus.messages import continued_document, count, listed, merged_documents, raise_problems, repeated_rows
from rageval.corpus.rows import Row, RowFile
from rageval.corpus.versions import FEEDBACK, SOURCE_COLUMN
from rageval.errors import DataError
from rageval.records import Document, Question
from rageval.text.fingerprint import digest, question_id
from rageval.text.keys import LookAlikes, difference_hint

DOCUMENT_COLUMNS = ("id", "course", "section", "question", "text")
QUESTION_COLUMNS = ("question", "course", "document")
MAX_FIELD_CHARS = 1_000_000
_MAY_BE_EMPTY = frozenset({"section"})


@dataclass(frozen=True, kw_only=True)
class CheckedDocuments:
    """The documents of a file, what was merged or ignored, and the rows that are no documents."""

    documents: tuple[Document, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    known: Mapping[str, Document | None]
    """Every id of the file; None where its row is bad, so that no question is blamed for that row."""


@dataclass(frozen=True, kw_only=True)
class CheckedQuestions:
    """The questions of a file, what was merged or ignored, and the rows that are no questions."""

    questions: tuple[Question, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    from_users: frozenset[str]
    """Ids of those that were accepted from conversations."""


def check_documents(file: RowFile) -> CheckedDocuments:
    """Return the documents of a file; rows with the same id and the same content become one.

    Two rows that differ only in that one text goes on for some lines where the other ends (the same entry with
    and without a signature) become one as well, with the longer text. Any other difference is a problem.

    Raises:
        DataError: If the file has no rows, or no row has one of the columns.
    """
    ignored = check_columns(file, DOCUMENT_COLUMNS)
    problems = list(file.problems)
    known: dict[str, Document | None] = {}
    places: dict[str, str] = {}
    identical: Counter[str] = Counter()
    continued: dict[str, str] = {}
    for row in file.rows:
        reasons = list(_value_problems(row.values, DOCUMENT_COLUMNS, file.text_remedy))
        document = None if reasons else _document(row.values)
        key = row.values.get("id")
        if isinstance(key, str) and key not in known:
            known[key], places[key] = document, row.place
        elif document is not None and (earlier := known[document.document_id]) is not None:
            name = document.document_id
            longer = _longer(earlier, document)
            if document == earlier:
                identical[name] += 1
            elif longer is not None:
                known[name], continued[name] = longer, row.place
            else:
                reasons.append(f"id {name} also stands at {places[name]} with other content: give each its own id")
        problems.extend(_located(file, row, reasons))
    return CheckedDocuments(
        documents=tuple(document for document in known.values() if document is not None),
        notes=(
            *ignored,
            *merged_documents(identical),
            *(continued_document(file, key, places[key], place) for key, place in continued.items()),
        ),
        problems=tuple(problems),
        known=known,
    )


def check_questions(file: RowFile, known: Mapping[str, Document | None]) -> CheckedQuestions:
    """Return the questions of a ground-truth file; identical rows become one.

    A question that stands with several documents of its course stays one row for each of them, and each
    row names the others' documents as alternates, with their grades.

    Args:
        file: The ground truth.
        known: Every document id there is, see `CheckedDocuments.known`.

    Raises:
        DataError: If the file has no rows, or no row has one of the columns.
    """
    ignored = check_columns(file, QUESTION_COLUMNS, optional=(GRADE_COLUMN, SOURCE_COLUMN))
    problems = list(file.problems)
    questions: dict[str, Question] = {}
    places: dict[str, str] = {}
    repeated: list[str] = []
    from_users: set[str] = set()
    alike = LookAlikes(known)
    for row in file.rows:
        reasons = list(_value_problems(row.values, QUESTION_COLUMNS, file.text_remedy))
        reasons = reasons or list(_reference_problems(row.values, known, alike))
        reasons += grade_problems(row.values)
        if reasons:
            problems.extend(_located(file, row, reasons))
            continue
        question = _question(row.values)
        first = questions.setdefault(question.question_id, question)
        place = places.setdefault(question.question_id, row.place)
        if str(row.values.get(SOURCE_COLUMN)).startswith(FEEDBACK):
            from_users.add(question.question_id)
        if first.grade != question.grade:
            other = f"grade is {question.grade}, but the same row stands at {place} with grade {first.grade}: keep one"
            problems.extend(_located(file, row, [other]))
        elif place != row.place:
            repeated.append(row.place)
    linked, note = _with_alternates(questions.values())
    return CheckedQuestions(
        questions=linked,
        notes=(*ignored, *repeated_rows(file, repeated), *note),
        problems=tuple(problems),
        from_users=frozenset(from_users),
    )


def check_columns(file: RowFile, columns: Sequence[str], *, optional: Sequence[str] = ()) -> tuple[str, ...]:
    """Return a note about columns that nobody reads, if there are any.

    Args:
        file: What was read.
        columns: The columns that have to be there.
        optional: Columns that are read where they are there.

    Raises:
        DataError: If a column is missing from every row, or there are no rows.
    """
    if not file.rows and file.problems:
        raise_problems(file.problems)
    missing = [column for column in columns if column not in file.columns]
    if missing and file.columns:
        hint = "; the separator of a CSV file is the comma" if len(file.columns) == 1 else ""
        raise DataError(
            f"{file.name}: missing columns: {', '.join(missing)}; found {', '.join(file.columns)}; "
            f"expected {', '.join(columns)}: rename or add them{hint}"
        )
    if not file.rows:
        raise DataError(f"{file.name}: the file holds no rows; expected rows with {', '.join(columns)}")
    extra = [column for column in file.columns if column not in {*columns, *optional}]
    return (f"{file.name}: ignored columns: {listed(extra)}",) if extra else ()


def _value_problems(values: Mapping[str, Any], columns: Iterable[str], text_remedy: str) -> Iterator[str]:
    for column in columns:
        value = values.get(column)
        if column not in values:
            yield f"`{column}` is missing"
        elif value is None:
            yield f"`{column}` is null, expected text"
        elif not isinstance(value, str):
            yield f"`{column}` is {type(value).__name__}, expected text: {text_remedy} (found {str(value)[:40]})"
        elif not value.strip() and column not in _MAY_BE_EMPTY:
            yield f"`{column}` is empty"
        elif len(value) > MAX_FIELD_CHARS:
            yield f"`{column}` has {len(value):,} characters, at most {MAX_FIELD_CHARS:,} are allowed: split it"
        elif not _is_encodable(value):
            yield f"`{column}` holds half a character (a lone surrogate), which no file can hold: write it anew"


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reference_problems(
    values: Mapping[str, Any], known: Mapping[str, Document | None], alike: LookAlikes
) -> Iterator[str]:
    reference, course = values["document"], values["course"]
    if reference not in known:
        yield f"document {reference[:80]} is not an id in the documents{alike.hint(reference)}"
        return
    document = known[reference]
    if document is not None and document.course != course:
        other = document.course
        hint = difference_hint(course, other)
        yield f"course is {course[:80]}, but its document belongs to {other[:80]}{hint} (document {reference})"


def _located(file: RowFile, row: Row, reasons: Iterable[str]) -> Iterator[str]:
    return (f"{file.name}, {row.place}: {reason}" for reason in reasons)


def _document(values: Mapping[str, Any]) -> Document:
    content = {column: str(values[column]) for column in DOCUMENT_COLUMNS if column != "id"}
    return Document(document_id=values["id"], **content, content_hash=digest(*content.values()))


def _longer(first: Document, second: Document) -> Document | None:
    """Return the one whose text is the other's and more lines, or None if that is not the only difference."""
    shorter, longer = sorted((first, second), key=lambda document: len(document.text))
    same_head = replace(longer, text=shorter.text, content_hash=shorter.content_hash) == shorter
    return longer if same_head and longer.text.startswith(f"{shorter.text}\n") else None


def _question(values: Mapping[str, Any]) -> Question:
    text, course, reference = (str(values[column]) for column in QUESTION_COLUMNS)
    return Question(
        question_id=question_id(course, text, reference),
        question=text,
        course=course,
        document_id=reference,
        grade=read_grade(values.get(GRADE_COLUMN)) or 1,
    )


def _with_alternates(questions: Iterable[Question]) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """Return the questions with their alternates set, and a note if there are any."""
    rows = tuple(questions)
    references: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in rows:
        references[row.course, row.question][row.document_id] = row.grade
    several = [grades for grades in references.values() if len(grades) > 1]
    if not several:
        return rows, ()
    linked = tuple(_linked(row, references[row.course, row.question]) for row in rows)
    verb = "stands" if len(several) == 1 else "stand"
    return linked, (
        f"{count(len(several), 'question')} {verb} with several documents ({sum(map(len, several))} rows); "
        "each row keeps its own document as reference and names the others as alternates",
    )


def _linked(row: Question, grades: Mapping[str, int]) -> Question:
    others = {document_id: grade for document_id, grade in grades.items() if document_id != row.document_id}
    return replace(row, alternate_ids=tuple(others), alternate_grades=tuple(others.values()))
