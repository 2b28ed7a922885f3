"""Values as a format can hold them -> values as they are meant: ids as text, names in one spelling, no section as "".

CSV knows nothing but text. JSON and Parquet also have numbers and nulls, which programs put where a person means a name
or an empty cell.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from rageval.corpus.rows import Row, RowFile
from rageval.text.keys import plain_key

_KEYS: Final = ("id", "course", "document")
_SECTION: Final = "section"
_LARGEST_EXACT: Final = 2**53
"""From here on a float stands for several whole numbers."""


def as_meant(file: RowFile) -> RowFile:
    """Return the file with the values of its rows as they are meant; what cannot be understood stays as it is."""
    return replace(file, rows=[Row(row.place, _meant(row.values, file)) for row in file.rows])


def _meant(values: Mapping[str, Any], file: RowFile) -> Mapping[str, Any]:
    meant = dict(values) | {column: _key(values[column]) for column in _KEYS if column in values}
    if _SECTION in file.columns:
        section = _key(values.get(_SECTION))
        meant[_SECTION] = "" if section is None else section
    return meant


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
