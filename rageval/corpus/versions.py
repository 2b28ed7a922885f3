"""Versions of a ground truth: each holds the rows of the one before it, and questions that users have asked.

ground-truth.csv             version 1, as it was
ground-truth.v2.csv          and one question more, with where it comes from in the column `source`
ground-truth.versions.json   what each version after the first has added, when, and from where
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from rageval.corpus.rows import Row, RowFile
from rageval.records import Document
from rageval.text.fingerprint import digest
from rageval.text.formulas import csv_text

LATEST = "latest:"
"""In front of the path of a ground truth it means the newest version."""
SOURCE_COLUMN = "source"
FEEDBACK = "feedback:"
"""What the source of a question begins with that was accepted from a conversation."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_VERSIONED = re.compile(r"\.v\d+$")


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version after the first."""

    version: int
    """From 2 on."""
    file: str
    """Its name, beside the file of versions."""
    made_at: str
    """Time in UTC, ISO 8601."""
    parent: str
    """The file whose rows it took over."""
    sha256: str
    """Of the file."""
    rows: int
    source: str
    """The conversation that the new rows come from, as in the column `source`."""
    question_ids: tuple[str, ...]
    """The new rows."""


def source_of(conversation_id: str) -> str:
    """Return what stands for a conversation in files: a hash, so that nobody finds the user by it."""
    return f"{FEEDBACK}{digest('conversation', conversation_id)[:16]}"


def base_name(name: str) -> str:
    """Return the name of a ground truth without number and suffix: `ground-truth` of `ground-truth.v2.csv`."""
    return _VERSIONED.sub("", PurePosixPath(name).stem)


def versions_name(name: str) -> str:
    """Return the name of the file of versions of a ground truth."""
    return f"{base_name(name)}.versions.json"


def version_name(name: str, version: int) -> str:
    """Return the name of a version's file."""
    return f"{base_name(name)}.v{version}.csv"


def one_line(question: str) -> str:
    """Return a question without line breaks and control characters, which a user may have sent."""
    return " ".join(_CONTROL.sub(" ", question).split())


def same_words(question: str) -> str:
    """Return what two questions share if they differ only in case and spaces."""
    return " ".join(question.casefold().split())


def repeated(rows: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """Return the new rows whose question stands already with the same document."""
    known = {_key(row) for row in rows}
    return [row for row in new if _key(row) in known]


def new_rows(question: str, document_ids: Sequence[str], source: str) -> list[Row]:
    """Return a row for each right document.

    Args:
        question: As it will be asked.
        document_ids: They.
        source: Where it comes from.
    """
    return [
        Row(f"document {document_id}", {"question": question, "document": document_id, SOURCE_COLUMN: source})
        for document_id in document_ids
    ]


def with_metadata(row: Row, document: Document, columns: Sequence[str]) -> Row:
    """Return a new row with what its document has in the columns of the ground truth, such as its course."""
    shared = {name: document.metadata[name] for name in columns if name in document.metadata}
    return Row(row.place, {**shared, **row.values})


def to_csv(file: RowFile, new: Sequence[Row]) -> str:
    """Return the rows of a file and new ones as CSV, with every column that was read and a `source`."""
    rows = [*file.rows, *new]
    read = {column for row in rows for column in row.values}
    columns = dict.fromkeys(column for column in (*file.columns, SOURCE_COLUMN) if column in read)
    return csv_text(list(columns), (row.values for row in rows))


def _key(row: Row) -> tuple[str, str]:
    return same_words(str(row.values["question"])), str(row.values["document"])
