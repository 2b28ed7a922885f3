"""The value of one cell -> what it stands for: a text, a number, yes or no, or several texts.

JSON and Parquet hold lists. CSV and Excel hold texts, in which programs write lists as JSON, as Python or numpy show
them, or with a separator between their parts.
"""

import ast
import io
import math
import re
import tokenize
import warnings
from collections.abc import Sequence
from typing import Any, Final

import orjson

from rageval.corpus.row_values import as_text
from rageval.text.keys import plain_key

MAX_CELL_CHARS: Final = 10_000_000
"""The most characters of a text that may be a list; a longer one stays a text."""
ID_SEPARATORS: Final = ("\n", "|", ";", ",")
"""The first of these that a text of ids has stands between them."""
_YES: Final = frozenset({"yes", "y", "true", "1", "answerable"})
_NO: Final = frozenset({"no", "n", "false", "0", "unanswerable"})
_TEXT_KEYS: Final = ("content", "text", "question", "query", "input", "answer", "response", "output", "value")
_ADJACENT: Final = re.compile(r"""['"]\s+['"]""")
_SHOWN: Final = 40


def is_empty(value: Any) -> bool:
    """Return whether a cell says nothing: null, not a number, or white space."""
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or (isinstance(value, float) and math.isnan(value))


def text_in(value: Any) -> str | None:
    """Return the text of a cell; of an object, the text under the first of its usual names.

    Raises:
        ValueError: If there is no text in it.
    """
    if isinstance(value, dict):
        value = _said(value)
    if is_empty(value):
        return None
    if isinstance(value, str):
        return value
    text = as_text(value) if isinstance(value, (int, float)) else None
    if text is None:
        raise ValueError(f"is {type(value).__name__}, expected text (found {str(value)[:_SHOWN]})")
    return text


def said_in(value: Any) -> str | None:
    """Return what `text_in` does, also of a text that is an object with a text in it, as `{"question": "..."}` in CSV.

    Raises:
        ValueError: If there is no text in it.
    """
    found = unfolded(value) if isinstance(value, str) else value
    is_named = isinstance(found, dict) and any(isinstance(found.get(key), str) for key in _TEXT_KEYS)
    return text_in(found if is_named else value)


def id_in(value: Any) -> str | None:
    """Return an id or a name as it is written everywhere; whole numbers are ids, too.

    Raises:
        ValueError: If it is neither a text nor a number.
    """
    text = as_text(value) if isinstance(value, (int, float)) and not is_empty(value) else text_in(value)
    return plain_key(text) or None if text else None


def any_number_in(value: Any) -> float | None:
    """Return a finite number, such as the score of a search, which may be negative.

    Raises:
        ValueError: If the cell holds anything else.
    """
    if is_empty(value):
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"is {str(value)[:_SHOWN]}, expected a number")
    return number


def number_in(value: Any) -> float | None:
    """Return a number of at least 0.

    Raises:
        ValueError: If the cell holds anything else.
    """
    number = any_number_in(value)
    if number is not None and number < 0:
        raise ValueError(f"is {number}, expected a number of at least 0")
    return number


def whole_in(value: Any) -> int | None:
    """Return a whole number of at least 0; 3.0 is one, since columns with gaps are of floats in most programs.

    Raises:
        ValueError: If the cell holds anything else.
    """
    number = number_in(value)
    if number is not None and number != int(number):
        raise ValueError(f"is {str(value)[:_SHOWN]}, expected a whole number")
    return None if number is None else int(number)


def yes_or_no(value: Any) -> bool | None:
    """Return what yes, no, true, false, 1 or 0 stands for.

    Raises:
        ValueError: If the cell holds anything else.
    """
    if is_empty(value):
        return None
    word = as_text(value) if not isinstance(value, str) else value.strip()
    if (word or "").casefold() not in _YES | _NO:
        raise ValueError(f"is {str(value)[:_SHOWN]}, expected yes or no")
    return (word or "").casefold() in _YES


def unfolded(value: Any) -> Any:
    """Return the list or object that a text is, as JSON or as Python shows it; anything else as it is."""
    if not isinstance(value, str) or len(value) > MAX_CELL_CHARS:
        return value
    text = value.strip()
    if (text[:1], text[-1:]) not in {("[", "]"), ("{", "}"), ("(", ")")}:
        return value
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        found = _as_python_shows(text)
    return found if isinstance(found, (list, tuple, dict)) else value


def texts_in(value: Any, separators: Sequence[str] = ()) -> list[Any] | None:
    """Return the parts of a cell that holds several: a list as it is, and the parts of a text.

    A text that can be read as a list of anything but texts is one text, such as the citation `[1]`.

    Args:
        value: The cell.
        separators: The first of these that a text has stands between its parts.

    Returns:
        The parts, lists in it unfolded, without empty ones; None if the cell says nothing.
    """
    if isinstance(value, str):
        found = unfolded(value)
        is_list = isinstance(found, (list, tuple)) and all(part is None or _is_part(part) for part in found)
        value = found if is_list else _parts(value, separators)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return [part for part in flat(value) if not (isinstance(part, str) and not part.strip()) and part is not None]


def ids_in(value: Any, separators: Sequence[str] = ID_SEPARATORS) -> tuple[str, ...] | None:
    """Return the ids of a cell, see `texts_in`.

    Raises:
        ValueError: If one is neither a text nor a number.
    """
    if isinstance(value, str) and is_empty(value):
        return None
    found = unfolded(value)
    parts = texts_in(list(found) if isinstance(found, (list, tuple)) else found, separators)
    return None if parts is None else tuple(key for part in parts if (key := id_in(part)))


def _parts(text: str, separators: Sequence[str]) -> list[str] | None:
    if not text.strip():
        return None
    separator = next((separator for separator in separators if separator in text), "")
    return [part.strip() for part in text.split(separator)] if separator else [text]


def flat(value: Any) -> list[Any]:
    """Return what stands in lists within lists, one after the other."""
    if isinstance(value, (list, tuple)):
        return [part for inner in value for part in flat(inner)]
    return [value]


def _is_part(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_part, value))
    return isinstance(value, str)


def _said(values: dict[str, Any]) -> Any:
    """Return what stands under the first of the usual names, or is the only value; the object itself without one."""
    only = next(iter(values.values())) if len(values) == 1 else values
    return next((values[key] for key in _TEXT_KEYS if not is_empty(values.get(key))), only)


def _as_python_shows(text: str) -> Any:
    """Return what a literal of Python stands for, or an array of texts as numpy shows it; None if it is neither."""
    try:
        with warnings.catch_warnings(action="ignore"):  # an unknown escape is a backslash that stands for itself
            found = ast.literal_eval(text)
            return _numpy_texts(text) or found if _ADJACENT.search(text) else found
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, tokenize.TokenError):
        return None


def _numpy_texts(text: str) -> list[str] | None:
    """Return the texts of an array; Python would join those that have no comma between them."""
    tokens = [
        token
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type in {tokenize.STRING, tokenize.OP, tokenize.NUMBER, tokenize.NAME}
    ]
    texts = [token.string for token in tokens if token.type == tokenize.STRING]
    is_array = len(texts) == len(tokens) - 2 and len(texts) > 1
    return [ast.literal_eval(part) for part in texts] if is_array else None
