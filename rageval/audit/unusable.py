"""Rows as they stand in the files -> what would stop a run, and what it would merge."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from rageval.audit.findings import Finding, Severity
from rageval.audit.row_content import content_of, extra_lines
from rageval.corpus.rows import Row, RowFile
from rageval.records import Document
from rageval.text.fingerprint import question_id


def place_of(file: RowFile, row: Row) -> str:
    """Return where a row stands, in words."""
    return f"{file.name}, {row.place}"


def document_places(file: RowFile) -> dict[str, tuple[str, ...]]:
    """Return the places of each document id."""
    return {key: tuple(place_of(file, row) for row in rows) for key, rows in _rows_by_id(file).items()}


def question_places(file: RowFile) -> dict[str, tuple[str, ...]]:
    """Return the places of each question id, see `rageval.text.fingerprint.question_id`."""
    return {key: tuple(place_of(file, row) for row in rows) for key, rows in _rows_by_question(file).items()}


def repeated_ids(file: RowFile, filter_by: str = "") -> Iterator[Finding]:
    """Yield a finding for each id that stands several times; only other content is an error."""
    for key, rows in _rows_by_id(file).items():
        if len(rows) > 1:
            yield _repeated_id(key, rows, tuple(place_of(file, row) for row in rows), filter_by)


def _repeated_id(key: str, rows: Sequence[Row], places: tuple[str, ...], filter_by: str) -> Finding:
    contents = [content_of(row) for row in rows]
    by_column = [content.columns() for content in contents]
    names = dict.fromkeys(name for columns in by_column for name in columns)
    different = [name for name in names if len({columns.get(name) for columns in by_column}) > 1]
    times = "twice" if len(rows) == 2 else f"{len(rows)} times"
    severity: Severity
    if not different:
        severity, fix = "note", "Remove all rows but one; --fix does."
        what = f"The id {key} stands {times} with the same content."
    elif extra := extra_lines(contents):
        severity, fix = "warning", "Remove the shorter row; --fix does, and so does a run."
        what = f"The id {key} stands {times}; the content is the same, but for one text that goes on: {extra!r}."
    else:
        severity, fix = "error", "Give each of them an id of its own, and point its questions to it."
        what = f"The id {key} stands {times} with other content; these columns differ: {', '.join(different)}."
    return Finding(
        kind="id_twice", severity=severity, filter_value=None if filter_by in different else _value(rows[0], filter_by),
        document_ids=(key,), rows=places, measure=float(len(rows)), what=what, fix=fix,
    )  # fmt: skip


def repeated_rows(file: RowFile, filter_by: str = "") -> Iterator[Finding]:
    """Yield a finding for each ground-truth row that stands several times."""
    for key, rows in _rows_by_question(file).items():
        if len(rows) > 1:
            values = rows[0].values
            yield Finding(
                kind="row_twice", severity="note", filter_value=_value(rows[0], filter_by),
                document_ids=(values["document"],), question_ids=(key,), question=values["question"],
                measure=float(len(rows)), rows=tuple(place_of(file, row) for row in rows),
                what=f"The row stands {len(rows)} times.", fix="Remove all but one; --fix does.",
            )  # fmt: skip


def bad_questions(file: RowFile, known: Mapping[str, Document | None], filter_by: str = "") -> Iterator[Finding]:
    """Yield a finding for each question that is empty, names no document, or one with another filter value.

    Args:
        file: The ground truth.
        known: Every document id there is, see `rageval.corpus.checks.CheckedDocuments.known`.
        filter_by: The column that restricts the search; empty without one.
    """
    for row in file.rows:
        question, reference = row.values.get("question"), row.values.get("document")
        value = _value(row, filter_by)
        here = (place_of(file, row),)
        if isinstance(question, str) and not question.strip():
            yield Finding(
                kind="empty_question", severity="error", filter_value=value, rows=here,
                document_ids=(reference,) if isinstance(reference, str) else (),
                what="The question is empty.", fix="Write it, or remove the row.",
            )  # fmt: skip
        elif not (isinstance(question, str) and isinstance(reference, str) and (value or not filter_by)):
            continue
        elif reference.strip() and reference not in known:
            yield Finding(
                kind="unknown_document", severity="error", filter_value=value, document_ids=(reference,),
                question=question, rows=here, what=f"No document has the id {reference[:80]}.",
                fix="Correct the id, add the document, or remove the row.",
            )  # fmt: skip
        elif value and (document := known.get(reference)) and (other := document.filter_value(filter_by)) != value:
            yield Finding(
                kind="other_filter_value", severity="error", filter_value=value, document_ids=(reference,),
                question=question, rows=here,
                what=f"The row's {filter_by} is {value[:80]}, its document's is {other[:80]}.",
                fix=f"Correct the {filter_by}, or point the row to a document with the same one.",
            )  # fmt: skip


def other_problems(problems: Sequence[str], explained: Sequence[Finding]) -> Iterator[Finding]:
    """Yield a finding for each row that a run refuses and that no other error explains.

    Args:
        problems: What `rageval.corpus.checks` refuses, one line a reason, each beginning with file and place.
        explained: The findings so far.
    """
    places = {f"{place}: " for finding in explained if finding.severity == "error" for place in finding.rows}
    for problem in problems:
        if not problem.startswith(tuple(places)):
            place, _, reason = problem.partition(": ")
            yield Finding(
                kind="unusable_row", severity="error", filter_value=None, rows=(place,), what=reason,
                fix="Correct the row, or remove it.",
            )  # fmt: skip


def _value(row: Row, filter_by: str) -> str | None:
    """Return what the row has in the column that restricts the search, if anything."""
    value = row.values.get(filter_by) if filter_by else None
    return value.strip() or None if isinstance(value, str) else None


def _rows_by_id(file: RowFile) -> dict[str, list[Row]]:
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in file.rows:
        key = row.values.get("id")
        if isinstance(key, str) and key.strip():
            rows[key].append(row)
    return rows


def _rows_by_question(file: RowFile) -> dict[str, list[Row]]:
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in file.rows:
        values = [row.values.get(name) for name in ("question", "document")]
        texts = [value for value in values if isinstance(value, str) and value.strip()]
        if len(texts) == len(values):
            rows[question_id(*texts)].append(row)
    return rows
