"""Texts that a spreadsheet would compute <-> cells of CSV that it shows, with an apostrophe before each of them.

People open these files in spreadsheets, and what is in them was written by users, by models and by whoever wrote the
documents. A column names the cells of a row that have an apostrophe, so that reading gives back what was written.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

GUARD: Final = "apostrophe_before"
"""Column that names the columns whose cells got an apostrophe, with | between; it is there only if any has."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def safe_cell(text: str) -> str:
    """Return the text with an apostrophe before what a spreadsheet would take for a formula and compute."""
    return f"'{text}" if _is_formula(text) else text


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return CSV whose cells no spreadsheet computes, and which `unguarded` gives back as it was.

    Args:
        columns: The header; what a row does not have is empty.
        rows: Values by column, of these columns alone.
    """
    guarded = [_guarded(row) for row in rows]
    header = [*columns, *([GUARD] if any(GUARD in row for row in guarded) else [])]
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(guarded)
    return text.getvalue()


def unguarded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a row as they were before `csv_text`, also if a spreadsheet has dropped an apostrophe."""
    names = set(str(values.get(GUARD, "")).split("|"))
    return {
        column: value.removeprefix("'") if column in names else value
        for column, value in values.items()
        if column != GUARD
    }


def _guarded(row: Mapping[str, Any]) -> dict[str, Any]:
    names = [column for column, value in row.items() if isinstance(value, str) and _is_formula(value)]
    return {**row, **{name: f"'{row[name]}" for name in names}, **({GUARD: "|".join(names)} if names else {})}


def _is_formula(text: str) -> bool:
    return text.lstrip(" ").startswith(_FORMULA)
