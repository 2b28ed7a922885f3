"""Rows as they stand in the files -> documents and questions that fit together, and what was wrong or merged.

Every bad row is found before anything is reported, so that a file is corrected once and not row by row.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rageval.corpus.grades import GRADE_COLUMN, grade_problems, read_grade
from rageval.corpus.messages import continued_document, count, listed, merged_documents, raise_problems, repeated_rows
from rageval.corpus.row_values import as_text
from rageval.corpus.rows import Row, RowFile
from rageval.corpus.versions import FEEDBACK, SOURCE_COLUMN
from rageval.errors import DataError
from rageval.records import Document, Question
from rageval.text.fingerprint import digest, question_id
from rageval.text.keys import LookAlikes, difference_hint

MAX_FIELD_CHARS = 1_000_000
_TITLE_COLUMNS = ("title", "question")
"""The first of these that a file has is read as the title: a FAQ has a question there."""


@dataclass(frozen=True, kw_only=True)
class CheckedDocuments:
    """The documents of a file, what was merged or left out, and the rows that are no documents."""

    documents: tuple[Document, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    known: Mapping[str, Document | None]
    """Every id of the file; None where its row is bad, so that no question is blamed for that row."""


@dataclass(frozen=True, kw_only=True)
class CheckedQuestions:
    """The questions of a file, what was merged or left out, and the rows that are no questions."""

    questions: tuple[Question, ...]
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    from_users: frozenset[str]
    """Ids of those that were accepted from conversations."""


def document_columns(filter_by: str) -> tuple[str, ...]:
    """Return the columns that documents need."""
    return ("id", *([filter_by] if filter_by else []), "text")


def question_columns(filter_by: str) -> tuple[str, ...]:
    """Return the columns that questions need."""
    return ("question", *([filter_by] if filter_by else []), "document")


def check_documents(file: RowFile, filter_by: str = "") -> CheckedDocuments:
    """Return the documents of a file; rows with the same id and the same content become one.

    Two rows that differ only in that one text goes on for some lines where the other ends (the same entry with
    and without a signature) become one as well, with the longer text. Any other difference is a problem.

    Args:
        file: The documents, see `read_all_columns`.
        filter_by: The column that restricts the search, which every document then needs; empty without one.

    Raises:
        DataError: If the file has no rows, or no row has one of the columns.
    """
    columns = document_columns(filter_by)
    check_columns(file, columns)
    title = next((name for name in _TITLE_COLUMNS if name in file.columns), "")
    problems = list(file.problems)
    known: dict[str, Document | None] = {}
    places: dict[str, str] = {}
    identical: Counter[str] = Counter()
    continued: dict[str, str] = {}
    for row in file.rows:
        reasons = list(_value_problems(row.values, columns, file.text_remedy))
        document = None if reasons else _document(row.values, title)
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
    documents = tuple(document for document in known.values() if document is not None)
    return CheckedDocuments(
        documents=documents,
        notes=(
            *_left_out(file, {"id", "text", title}, (document.metadata for document in documents)),
            *merged_documents(identical),
            *(continued_document(file, key, places[key], place) for key, place in continued.items()),
        ),
        problems=tuple(problems),
        known=known,
    )


def check_questions(file: RowFile, known: Mapping[str, Document | None], filter_by: str = "") -> CheckedQuestions:
    """Return the questions of a ground-truth file; rows with the same question and document become the first of them.

    A question that stands with several documents of one filter value stays one row for each of them, and each
    row names the others' documents as alternates, with their grades.

    Args:
        file: The ground truth, see `read_all_columns`.
        known: Every document id there is, see `CheckedDocuments.known`.
        filter_by: The column that restricts the search, in which a question has to have its document's value; empty
            without one.

    Raises:
        DataError: If the file has no rows, or no row has one of the columns.
    """
    columns = question_columns(filter_by)
    check_columns(file, columns)
    problems = list(file.problems)
    questions: dict[str, Question] = {}
    places: dict[str, str] = {}
    repeated: list[str] = []
    from_users: set[str] = set()
    alike = LookAlikes(known)
    for row in file.rows:
        reasons = list(_value_problems(row.values, columns, file.text_remedy))
        reasons = reasons or list(_reference_problems(row.values, known, alike, filter_by))
        reasons += grade_problems(row.values)
        if reasons:
            problems.extend(_located(file, row, reasons))
            continue
        question = _question(row.values, filter_by, known[row.values["document"]])
        first = questions.setdefault(question.question_id, question)
        place = places.setdefault(question.question_id, row.place)
        if str(row.values.get(SOURCE_COLUMN)).startswith(FEEDBACK):
            from_users.add(question.question_id)
        if first.relevant_grades != question.relevant_grades:
            grades = question.relevant_grades[0], first.relevant_grades[0]
            other = f"grade is {grades[0]}, but the same row stands at {place} with grade {grades[1]}: keep one"
            problems.extend(_located(file, row, [other]))
        elif place != row.place:
            repeated.append(row.place)
    linked, note = _with_alternates(questions.values())
    return CheckedQuestions(
        questions=linked,
        notes=(
            *_left_out(file, {*columns, GRADE_COLUMN, SOURCE_COLUMN}, (question.tags for question in linked)),
            *repeated_rows(file, repeated),
            *note,
        ),
        problems=tuple(problems),
        from_users=frozenset(from_users),
    )


def check_columns(file: RowFile, columns: Sequence[str]) -> None:
    """Make sure that a file has rows, and the columns that have to be there.

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


def _left_out(file: RowFile, read: Collection[str], kept: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Return a note about columns of which nothing is kept, if there are any."""
    known = {*read, *(name for metadata in kept for name in metadata)}
    extra = [column for column in file.columns if column and column not in known]
    return (f"{file.name}: columns without a text or a number are left out: {listed(extra)}",) if extra else ()


def _value_problems(values: Mapping[str, Any], columns: Sequence[str], text_remedy: str) -> Iterator[str]:
    for column in columns:
        value = values.get(column)
        if column not in values:
            yield f"`{column}` is missing"
        elif value is None:
            yield f"`{column}` is null, expected text"
        elif not isinstance(value, str):
            yield f"`{column}` is {type(value).__name__}, expected text: {text_remedy} (found {str(value)[:40]})"
        elif not value.strip():
            yield f"`{column}` is empty"
    for column, value in values.items():
        if not isinstance(value, str):
            continue
        if len(value) > MAX_FIELD_CHARS:
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
    values: Mapping[str, Any], known: Mapping[str, Document | None], alike: LookAlikes, filter_by: str
) -> Iterator[str]:
    reference, value = values["document"], values.get(filter_by, "") if filter_by else ""
    if reference not in known:
        yield f"document {reference[:80]} is not an id in the documents{alike.hint(reference)}"
        return
    document = known[reference]
    if document is not None and (other := document.filter_value(filter_by)) != value:
        hint = difference_hint(value, other)
        yield f"{filter_by} is {value[:80]}, but its document belongs to {other[:80]}{hint} (document {reference})"


def _located(file: RowFile, row: Row, reasons: Iterable[str]) -> Iterator[str]:
    return (f"{file.name}, {row.place}: {reason}" for reason in reasons)


def _document(values: Mapping[str, Any], title_column: str) -> Document:
    title = values.get(title_column) if title_column else None
    title = title if isinstance(title, str) else as_text(title) or ""
    metadata = _metadata(values, {"id", "text", title_column})
    return Document(
        document_id=values["id"],
        title=title,
        text=values["text"],
        metadata=metadata,
        content_hash=digest(title, values["text"], *(part for item in sorted(metadata.items()) for part in item)),
    )


def _metadata(values: Mapping[str, Any], others: Collection[str]) -> dict[str, str]:
    """Return as text what a row has beside some columns; what is empty, or nothing that can be a text, is left out."""
    texts = {name: as_text(value) for name, value in values.items() if name and name not in others}
    return {name: text for name, text in texts.items() if text}


def _longer(first: Document, second: Document) -> Document | None:
    """Return the one whose text is the other's and more lines, or None if that is not the only difference."""
    shorter, longer = sorted((first, second), key=lambda document: len(document.text))
    same_head = replace(longer, text=shorter.text, content_hash=shorter.content_hash) == shorter
    return longer if same_head and longer.text.startswith(f"{shorter.text}\n") else None


def _question(values: Mapping[str, Any], filter_by: str, document: Document | None) -> Question:
    text, reference = values["question"], values["document"]
    return Question(
        question_id=question_id(text, reference),
        question=text,
        filter_value=values[filter_by] if filter_by else "",
        references=(document.text,) if document else (),
        relevant_ids=(reference,),
        relevant_grades=(read_grade(values.get(GRADE_COLUMN)) or 1,),
        tags=_metadata(values, {*question_columns(filter_by), GRADE_COLUMN, SOURCE_COLUMN}),
    )


def _with_alternates(questions: Iterable[Question]) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """Return the questions with their alternates set, and a note if there are any."""
    rows = tuple(questions)
    references: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for row in rows:
        references[row.filter_value, row.question] |= row.relevant(accept_alternates=False)
    several = [grades for grades in references.values() if len(grades) > 1]
    if not several:
        return rows, ()
    linked = tuple(_linked(row, references[row.filter_value, row.question]) for row in rows)
    verb = "stands" if len(several) == 1 else "stand"
    return linked, (
        f"{count(len(several), 'question')} {verb} with several documents ({sum(map(len, several))} rows); "
        "each row keeps its own document as reference and names the others as alternates",
    )


def _linked(row: Question, grades: Mapping[str, int]) -> Question:
    others = {document_id: grade for document_id, grade in grades.items() if document_id not in row.relevant_ids}
    return replace(row, alternate_ids=tuple(others), alternate_grades=tuple(others.values()))
