"""Values as a format can hold them -> values as they are meant: ids as text, names in one spelling, metadata as text.

CSV knows nothing but text. JSON and Parquet also have numbers and nulls, which programs put where a person means a name
or an empty cell.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from typing import Any, Final

from rageval.corpus.rows import Row, RowFile
from rageval.text.keys import plain_key

_KEYS: Final = ("id", "document")
_NO_METADATA: Final = frozenset({*_KEYS, "text", "title", "question", "grade"})
_LARGEST_EXACT: Final = 2**53
"""From here on a float stands for several whole numbers."""


def with_plain_ids(file: RowFile) -> RowFile:
    """Return the file with the ids of documents as they are meant; what cannot be understood stays as it is."""
    return replace(file, rows=[Row(row.place, _with_plain_ids(row.values)) for row in file.rows])


def with_plain_metadata(file: RowFile) -> RowFile:
    """Return the file with everything beside ids, texts and grades as text; what has no text stays as it is."""
    return replace(file, rows=[Row(row.place, _with_plain_metadata(row.values)) for row in file.rows])


def as_text(value: Any) -> str | None:
    """Return the text that a value stands for; None for nothing, for what is no number, and for nested values.

    A text is written in its one spelling, and a list of texts with commas between them.
    """
    known = _key(value)
    if isinstance(known, bool):
        return str(known).lower()
    if isinstance(known, float | Decimal):
        return str(known)
    if isinstance(known, date | time):
        return known.isoformat()
    if isinstance(known, list) and all(isinstance(item, str) for item in known):
        return ", ".join(map(plain_key, known))
    return known if isinstance(known, str) else None


def _with_plain_ids(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return dict(values) | {column: _key(values[column]) for column in _KEYS if column in values}


def _with_plain_metadata(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        column: value if column in _NO_METADATA or (text := as_text(value)) is None else text
        for column, value in values.items()
    }


def _key(value: Any) -> Any:
    """Return a text in its one spelling and a whole number as text; not a number is None, as in a column with gaps."""
    if isinstance(value, str):
        return plain_key(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, float | Decimal):
        return value
    if math.isnan(value):
        return None
    is_whole = math.isfinite(value) and value == int(value)
    return str(int(value)) if is_whole and (isinstance(value, Decimal) or abs(value) < _LARGEST_EXACT) else value
