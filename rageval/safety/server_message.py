"""The body of an error, JSON or not -> what the server says, on one line, and the codes it gives."""

import html
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from rageval.text.printable import printable

Redact = Callable[[str], str]

_MESSAGE_LIMIT: Final = 500
_READ_LIMIT: Final = 20_000
_DEPTH_LIMIT: Final = 8
_MESSAGE_KEYS: Final = (
    "error", "errors", "message", "detail", "details", "msg", "error_description", "error_message", "errormessage",
    "title", "reason", "description", "metadata", "raw",
)  # fmt: skip
_CODE_KEYS: Final = frozenset({"code", "type", "status", "error_type", "errortype", "__type"})
_INVISIBLE: Final = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]{1,500}>", re.DOTALL | re.IGNORECASE)
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class ServerMessage:
    """What a server says about an error. Nothing in it is trusted, and it may repeat the key."""

    text: str
    """Its message, in whatever field or format it stood; empty if it says nothing."""
    codes: frozenset[str] = frozenset()
    """Its codes and types, in lower case."""
    body: str = ""
    """The beginning of the whole body, for what stands in no message."""


def read_message(body: bytes | str) -> ServerMessage:
    """Return what the body of an error says: JSON of any shape, a page of HTML, or plain text."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    text = text[:_READ_LIMIT].strip()
    try:
        return message_of(json.loads(text.removeprefix("data:")))
    except (ValueError, RecursionError):
        return ServerMessage(text=_plain(text), body=text)


def message_of(value: Any) -> ServerMessage:
    """Return the same for a body, or a part of one, that is decoded JSON."""
    whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    texts = list(dict.fromkeys(text for text in _texts(value, 0) if text))
    said = [text for text in texts if not any(text != other and text in other for other in texts)]
    codes = frozenset(code.lower() for code in _codes(value, 0))
    text = "; ".join(said) or ("" if value in (None, {}, [], "") else whole)
    return ServerMessage(text=text[:_READ_LIMIT], codes=codes, body=whole[:_READ_LIMIT])


def quoted(text: str, redact: Redact) -> str:
    """Return a server's message on one line, without the key, without what a terminal obeys, cut to a sane length."""
    return redact(printable(" ".join(text.split())))[:_MESSAGE_LIMIT]


def _texts(value: Any, depth: int) -> Iterator[str]:
    """Yield the messages in a value, the most general first; what stands beside them is left out."""
    if depth > _DEPTH_LIMIT:
        return
    if isinstance(value, str):
        yield from _decoded(value, depth)
    elif isinstance(value, list):
        for item in value[:5]:
            yield from _texts(item, depth + 1)
    elif isinstance(value, dict):
        named = {str(name).lower(): inner for name, inner in value.items()}
        if isinstance(place := named.get("loc"), list) and isinstance(named.get("msg"), str):  # of pydantic
            yield f"{'.'.join(str(part) for part in place)}: {named['msg']}"
            return
        for name in _MESSAGE_KEYS:
            yield from _texts(named.get(name), depth + 1)


def _decoded(text: str, depth: int) -> Iterator[str]:
    """Yield a text, or the messages in it if it is JSON itself, as gateways hand on what they were told."""
    if text.lstrip().startswith(("{", "[")):
        try:
            yield from _texts(json.loads(text), depth + 1)
        except (ValueError, RecursionError):
            yield _plain(text)
    else:
        yield _plain(text)


def _codes(value: Any, depth: int) -> Iterator[str]:
    if depth > _DEPTH_LIMIT:
        return
    if isinstance(value, list):
        for item in value[:5]:
            yield from _codes(item, depth + 1)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str) and str(name).lower() in _CODE_KEYS:
                yield inner
            yield from _codes(inner, depth + 1)


def _plain(text: str) -> str:
    """Return the words of a page of HTML, its title first, or any other text as it is."""
    if not re.match(r"\s*<(?:!doctype|html|head|body|\?xml)", text, re.IGNORECASE):
        return text.strip()
    title = _TITLE.search(text)
    seen = _INVISIBLE.sub(" ", text)
    return " ".join(html.unescape(f"{title[1] if title else ''} {seen}").split())
