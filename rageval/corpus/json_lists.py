"""What a JSON file holds -> the list of rows in it: the file itself, or the one list of an object."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from rageval.errors import DataError

_USUAL: Final = (
    "results", "data", "examples", "items", "rows", "records", "samples", "questions", "test_cases", "goldens",
)  # fmt: skip
_NO_NUMBERS: Final = re.compile(r"\b(?:NaN|Infinity)\b")


def json_value(text: str | bytes) -> Any:
    """Return what a text of JSON holds; NaN and Infinity, which many programs write but JSON does not know, are null.

    Raises:
        orjson.JSONDecodeError: If it is no JSON.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if not _NO_NUMBERS.search(text if isinstance(text, str) else text.decode("utf-8", "replace")):
            raise
        try:
            return json.loads(text, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            raise error from None


def list_in(values: Any, name: str) -> list[Any]:
    """Return the list of objects in what was read.

    Args:
        values: A list, or an object that has one list of objects, or has one under a usual name such as `results`.
        name: What messages call the file.

    Raises:
        DataError: If there is none, or several of which none has a usual name.
    """
    if isinstance(values, list):
        return values
    if isinstance(values, Mapping):
        lists = {key: value for key, value in values.items() if isinstance(value, list) and _holds_objects(value)}
        usual = [key for key in _USUAL if key in lists]
        if len(lists) == 1 or usual:
            return lists[usual[0]] if usual else next(iter(lists.values()))
    keys = f" with the keys {', '.join(map(str, values))}"[:200] if isinstance(values, Mapping) else ""
    raise DataError(
        f"{name}: expected a list of objects [{{...}}, ...], or an object with one such list, as "
        f'{{"results": [...]}}, found {type(values).__name__}{keys}'
    )


def _holds_objects(values: list[Any]) -> bool:
    return all(isinstance(value, Mapping) for value in values)
