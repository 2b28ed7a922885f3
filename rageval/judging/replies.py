"""A judge's reply -> its verdict, or its several verdicts, or the reason why one cannot be read from it.

Reading is strict on purpose. A judge repeats pieces of the answer it grades, so a reader that searches the
reply for something that looks like a verdict lets the answer write its own grade.
"""

import json
import re
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, Final, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

_V = TypeVar("_V", bound=BaseModel)

MAX_REPLY_CHARS: Final = 20_000
"""A longer reply is not read at all: a verdict takes a few hundred characters."""

FENCED = re.compile(r"```[A-Za-z]{0,10}\s(?P<body>.*)```", re.DOTALL)
"""The whole of a reply that is one code fence, whatever language it names."""
_AROUND_LABEL = " \t\r\n*_`'\"."
_BETWEEN_WORDS = re.compile(r"[\s_-]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Verdict(BaseModel):
    """The judge's reply: the reason comes first, so that the label follows from it."""

    model_config = ConfigDict(extra="forbid")

    reason: str
    label: str


@cache
def verdict_of(labels: tuple[str, ...]) -> type[Verdict]:
    """Return the kind of verdict that has one of these labels."""
    one_of: Any = Literal.__getitem__(labels)
    return create_model("Verdict", __base__=Verdict, __doc__=Verdict.__doc__, label=(one_of, ...))


class UnreadableVerdictError(ValueError):
    """A judge's reply holds no verdict; the message is a short reason and never repeats the reply."""


def read_verdict(reply: str | None, kind: type[_V]) -> _V:
    """Return the verdict that the whole reply states.

    The reply is one JSON object with exactly the keys of that kind of verdict, alone or in one code fence, with nothing
    but white space around either. A label may be in any case, in quotes or bold, end in a full stop, and have a space
    or a hyphen for the underscore; nothing else may stand in its field.

    Args:
        reply: The judge's words after its thinking, or None if there are none.
        kind: What the judge was asked for, see `verdict_of`; each knows its own labels alone.

    Raises:
        UnreadableVerdictError: If the reply is anything else. Such a reply is unscored, never 0. Characters
            are counted from 1.
    """
    return _validated(_value(reply), kind)


def read_verdicts(reply: str | None, kinds: Mapping[str, type[Verdict]]) -> dict[str, Verdict | UnreadableVerdictError]:
    """Return the verdict that a reply states under each name, or why there is none under that one.

    The reply is one JSON object with these names as its keys and nothing else, and what stands at each is read as
    `read_verdict` reads a whole reply.

    Args:
        reply: As for `read_verdict`.
        kinds: What the judge was asked for, by name.

    Raises:
        UnreadableVerdictError: If the reply as a whole is anything else: then nobody knows whose any part of it is.
    """
    value = _value(reply)
    _check_object(value, kinds)
    found: dict[str, Verdict | UnreadableVerdictError] = {}
    for name, kind in kinds.items():
        try:
            if name not in value:
                raise UnreadableVerdictError(f"no verdict on {name}")
            found[name] = _validated(value[name], kind)
        except UnreadableVerdictError as error:
            found[name] = error
    return found


def _value(reply: str | None) -> Any:
    """Return the JSON value that the whole reply is."""
    if reply is None or not reply.strip():
        raise UnreadableVerdictError("empty reply")
    if len(reply) > MAX_REPLY_CHARS:
        raise UnreadableVerdictError(f"reply longer than {MAX_REPLY_CHARS} characters")
    return _decoded(reply, *_body(reply))


def _body(reply: str) -> tuple[int, int]:
    """Return where the JSON text starts and stops: white space and one fence around it are left out."""
    start, stop = _stripped(reply, 0, len(reply))
    if not reply.startswith("```", start):
        return start, stop
    fenced = FENCED.fullmatch(reply, start, stop)
    if fenced is None:
        raise UnreadableVerdictError("code fence that is not one closed block")
    return _stripped(reply, *fenced.span("body"))


def _stripped(text: str, start: int, stop: int) -> tuple[int, int]:
    part = text[start:stop]
    return stop - len(part.lstrip()), start + len(part.rstrip())


def _decoded(reply: str, start: int, stop: int) -> Any:
    # Numbers have no place in a verdict. As floats they are refused with the rest, while int() would raise
    # an error of its own for thousands of digits.
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_int=float, parse_constant=_refuse_constant)
    text = reply[:stop]
    try:
        value, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise UnreadableVerdictError(f"not JSON at character {error.pos + 1}") from None
    except RecursionError:
        raise UnreadableVerdictError("JSON nested too deeply") from None
    rest = text[end:].lstrip()
    if rest.startswith("{"):
        raise UnreadableVerdictError("two JSON objects")
    if rest:
        raise UnreadableVerdictError(f"more text after the JSON value, at character {stop - len(rest) + 1}")
    return value


class _Ambiguous:
    """An object in which a key stands twice: what it says depends on who reads it."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Ambiguous:
    found = dict(pairs)
    return found if len(found) == len(pairs) else _Ambiguous()


def _refuse_constant(name: str) -> NoReturn:
    raise UnreadableVerdictError(f"{name} is not JSON")


def _validated(value: Any, kind: type[_V]) -> _V:
    _check_object(value, kind.model_fields)
    for name, text in value.items():
        if isinstance(text, str) and _SURROGATE.search(text):  # no table or file could store it
            raise UnreadableVerdictError(f"{name} is not valid Unicode")
    label = value.get("label")
    if isinstance(label, str):
        value = value | {"label": plain_label(label)}
    try:
        return kind.model_validate(value, strict=True)
    except ValidationError as error:
        raise UnreadableVerdictError(_reason(error)) from None


def _check_object(value: Any, keys: Collection[str]) -> None:
    """Refuse everything but an object with no other keys than these."""
    if isinstance(value, _Ambiguous):
        raise UnreadableVerdictError("a key stands twice in one object")
    if not isinstance(value, dict):
        raise UnreadableVerdictError("not a JSON object")
    if not set(value) <= set(keys):
        raise UnreadableVerdictError("unknown key")


def plain_label(text: str) -> str:
    """Return the label as the prompt spells it, whatever case and marks the judge has given it."""
    bare = text.strip(_AROUND_LABEL)
    return _BETWEEN_WORDS.sub("_", bare).upper() if bare.isascii() else text


def _reason(error: ValidationError) -> str:
    """Say what is wrong in our own words: pydantic's message would repeat the reply."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    if first["type"] == "literal_error":
        return "unknown label"
    if first["type"] == "missing":
        return f"no {first['loc'][0]}"
    return f"{first['loc'][0]} is not a text"
