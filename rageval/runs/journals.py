"""Journals: finished records of a chunk, one JSON line each, as they come."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeAlias

import orjson
import pyarrow as pa

from rageval.records import Score, StoredAnswer
from rageval.runs.parts import schema_of
from rageval.storage.files import appending
from rageval.storage.places import Place
from rageval.tables import to_row

Row: TypeAlias = dict[str, Any]
_UNREADABLE = (ValueError, TypeError, AttributeError, pa.ArrowException)


class Journal:
    """Appends finished records of one chunk, one JSON line each, so that a kill loses none of them."""

    def __init__(self, path: Place) -> None:
        self._lines = appending(path)

    def append(self, record: StoredAnswer | Score) -> None:
        """Write a record; when it is safe from the death of this process is said at `appending`.

        Raises:
            RunStoppedError: If it, or one before it, cannot be written.
        """
        self._lines.append(orjson.dumps(to_row(record)))

    def close(self) -> None:
        """End the journal; the records stay.

        Raises:
            RunStoppedError: If the last ones could not be written.
        """
        self._lines.close()


def read_lines(part: str, lines: Sequence[bytes]) -> list[Row]:
    """Return the records of a journal; all are checked at once, and one by one only if any cannot be read."""
    try:
        return _checked(part, [orjson.loads(line) for line in lines if line])
    except _UNREADABLE:
        return [row for line in lines if (row := read_line(part, line)) is not None]


def read_line(part: str, line: bytes) -> Row | None:
    """Return a journal's record, or None for the line that a kill cut short or that is damaged."""
    try:
        return _checked(part, [orjson.loads(line)])[0]
    except _UNREADABLE:
        return None


def _checked(part: str, rows: list[Row]) -> list[Row]:
    """Return the rows with their times as such.

    Raises:
        ValueError, TypeError, AttributeError, pyarrow.ArrowException: If any of them does not fit the table.
    """
    for row in rows:
        if "started_at" in row:
            row["started_at"] = datetime.fromisoformat(row["started_at"])
    schema = schema_of(part)
    pa.Table.from_pylist(rows, schema=schema)
    needed = {field.name for field in schema or () if not field.nullable}
    if not all(row.keys() >= needed for row in rows):
        raise ValueError(f"a row lacks a column of {part}")
    return rows
