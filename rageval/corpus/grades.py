"""The column `grade` of the ground truth: how right a document is for a question, from 1 to 10."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

GRADE_COLUMN = "grade"
"""May be left out, as a whole or in single rows: then it is 1."""
HIGHEST_GRADE = 10


def read_grade(value: Any) -> int | None:
    """Return the grade that a value of any format means.

    Args:
        value: As it stands in the file. Numbers may be text, and floats where they are whole, because a column of
            numbers with gaps is one of floats in most programs.

    Returns:
        1 to 10, 1 where there is no value, or None if it means no grade.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return 1
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
    if math.isnan(number) and isinstance(value, float):
        return 1
    return int(number) if number in range(1, HIGHEST_GRADE + 1) else None


def grade_problems(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the row's grade cannot be used, if it cannot."""
    value = values.get(GRADE_COLUMN)
    if read_grade(value) is None:
        shown = str(value)[:40]
        yield f"`{GRADE_COLUMN}` is {shown}, expected a whole number from 1 to {HIGHEST_GRADE}, or nothing for 1"
