"""JSON with `{{ name }}` in its texts -> the same JSON with values in their place.

Values are put into the parsed JSON, never into its text, so that nothing in them, such as a quote, can change its form.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


@dataclass(frozen=True, kw_only=True)
class JsonTemplate:
    """An object of JSON in which placeholders stand."""

    body: Mapping[str, Any]
    names: frozenset[str]
    """What its placeholders ask for."""

    def filled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the object with every placeholder replaced.

        A text that is a placeholder and nothing else becomes the value, whatever its type; within a longer text stands
        the value as text. What a value holds is never looked at for placeholders.

        Args:
            values: A value for each of `names`.
        """
        return {key: _filled(value, values) for key, value in self.body.items()}


def json_template(text: str, known: Collection[str], *, whole: Collection[str] = ()) -> JsonTemplate:
    """Return a text as a template.

    Args:
        text: An object of JSON.
        known: Names that placeholders may have.
        whole: Those of them that must be all of a text, because their values are none.

    Raises:
        ValueError: If it is no object of JSON, is nested too deep, or has a placeholder of another name, or within a
            longer text where it has to be all of it.
    """
    try:
        body = orjson.loads(text)
        found = [pair for value in _texts(body) for pair in _placeholders(value)]
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is JSON that is nested too deep") from None
    if not isinstance(body, dict):
        raise ValueError("it is JSON, but no object in braces")
    for name, is_all in found:
        if name not in known:
            raise ValueError(f"it asks for {{{{{name}}}}}; known are {', '.join(known)}")
        if name in whole and not is_all:
            raise ValueError(f'{{{{{name}}}}} is no text: it has to stand alone, as "{{{{{name}}}}}"')
    return JsonTemplate(body=body, names=frozenset(name for name, _ in found))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in value if isinstance(value, list) else value.values():
            yield from _texts(item)


def _placeholders(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the name of each placeholder of a text, and whether it is all of it."""
    for found in _PLACEHOLDER.finditer(text):
        yield found[1], found[0] == text


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    if alone := _PLACEHOLDER.fullmatch(value):
        return values[alone[1]]
    return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), value)
