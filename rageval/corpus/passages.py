"""Cells with turns, contexts or right passages, however programs nest them -> turns, contexts, ids, grades, texts."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rageval.corpus.cells import any_number_in, flat, id_in, ids_in, is_empty, text_in, texts_in, unfolded, whole_in
from rageval.corpus.items import RawContext
from rageval.records import Message

_TEXTS: Final = ("text", "content", "page_content", "passage", "chunk", "chunk_text", "body", "document")
_IDS: Final = ("id", "doc_id", "document_id", "passage_id", "chunk_id", "_id", "docid", "source", "url")
_SCORES: Final = ("score", "relevance_score", "similarity")
_GRADES: Final = ("grade", "relevance", "score")
_ROLES: Final = {
    "user": "user", "human": "user", "humanmessage": "user", "customer": "user",
    "assistant": "assistant", "ai": "assistant", "aimessage": "assistant", "bot": "assistant", "model": "assistant",
    "agent": "assistant", "system": "system", "developer": "system",
}  # fmt: skip
_UNSPOKEN: Final = frozenset({"tool", "toolmessage", "function"})
"""What tools said is part of no turn."""
_SOURCED: Final = re.compile(r"(?P<id>\S{1,300}?|[^\n:]{1,200}):\s+(?P<text>\S.*)", re.DOTALL)
"""A passage after its source, as `handbook.pdf#page=4: text`."""
_SOURCE: Final = re.compile(
    r"[^\n]*\w\.(?:pdf|docx?|pptx?|xlsx?|txt|md|rst|html?|xml|json|csv|png|jpe?g)|\w+://\S+|\S+#\S+", re.IGNORECASE
)
"""A file, a URL or a part of one; whatever else stands before a colon is text, as in `Node.js: a runtime`."""
_NUMBERED: Final = re.compile(r"(?:\A|\n\n)Document \S+: ")
"""What Giskard writes before each of several documents."""


def messages_in(value: Any) -> tuple[Message, ...]:
    """Return the turns of a conversation, whatever its roles are called; what tools said is left out.

    Raises:
        ValueError: If it holds anything but turns.
    """
    value = unfolded(value)
    if is_empty(value):
        return ()
    if isinstance(value, dict) and isinstance(value.get("messages"), (list, tuple)):
        value = value["messages"]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"is {type(value).__name__}, expected a list of turns with role and content")
    return tuple(_messages(value))


def _messages(turns: Sequence[Any]) -> Iterator[Message]:
    for number, turn in enumerate(turns):
        if isinstance(turn, str):  # without roles, user and assistant take turns
            yield {"role": "assistant" if number % 2 else "user", "content": turn}
            continue
        if not isinstance(turn, Mapping):
            raise ValueError(f"has a turn that is {type(turn).__name__}, expected role and content")
        named = turn.get("role") or turn.get("type") or turn.get("from") or ""
        role = _ROLES.get(str(named).casefold())
        if role is None and str(named).casefold() not in _UNSPOKEN:
            raise ValueError(f"has a turn with the role {str(named)[:40] or '(none)'}, expected user or assistant")
        content = _content(turn.get("content", turn.get("text", turn.get("value"))))
        if role and content:
            yield {"role": role, "content": content}


def _content(value: Any) -> str | None:
    """Return the text of a turn, which may be a list of parts."""
    if not isinstance(value, (list, tuple)):
        return text_in(value)
    parts = [part.get("text") if isinstance(part, Mapping) else part for part in value]
    return "\n".join(part for part in parts if isinstance(part, str)) or None


def contexts_in(value: Any, separators: Sequence[str] = ()) -> tuple[RawContext, ...] | None:
    """Return the passages of a cell.

    They are texts, objects with id, text and score by whatever names, an object of texts by id, or one text with a
    separator between passages, each of which may begin with its source.

    Args:
        value: The cell.
        separators: See `texts_in`; an empty text is no passage where there are any, and says nothing otherwise.

    Raises:
        ValueError: If one is neither text nor object.
    """
    if isinstance(value, str) and not value.strip():
        return () if separators else None
    value = unfolded(value)
    if isinstance(value, Mapping) and not _named(value, _TEXTS) and not _named(value, _IDS):
        return tuple(RawContext(id=id_in(key), text=text_in(text)) for key, text in value.items())
    if isinstance(value, str):
        if not any(separator in value for separator in separators):
            return tuple(_sourced(value) or [RawContext(text=value)])
        parts = texts_in(value, separators) or []
        return tuple(context for part in parts for context in _sourced(part, (r"\A",)) or [RawContext(text=part)])
    return None if is_empty(value) else tuple(map(_context, flat(value)))


def _context(part: Any) -> RawContext:
    if not isinstance(part, Mapping):
        return RawContext(text=text_in(part))
    if isinstance(part.get("document"), Mapping):  # a hit that holds the document and its score
        part = {**part["document"], **{key: value for key, value in part.items() if key != "document"}}
    inner = part.get("metadata")
    known = {**(inner if isinstance(inner, Mapping) else {}), **part}
    text, name = text_in(_named(known, _TEXTS)), id_in(_named(known, _IDS))
    if text is None and name is None:
        raise ValueError(f"has a passage with the keys {', '.join(map(str, part))[:80]}, expected text or id")
    return RawContext(id=name, text=text, score=any_number_in(_named(known, _SCORES)))


def _named(values: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((values[name] for name in names if not is_empty(values.get(name))), None)


def _sourced(text: str, separators: Sequence[str] = (r"\n", r"\n\s*\n")) -> list[RawContext]:
    """Return the passages of a text of which each begins with its source; none if one does not."""
    for separator in separators:
        parts = [part.strip() for part in re.split(separator, text) if part.strip()]
        found = [m for part in parts if (m := _SOURCED.fullmatch(part)) and _SOURCE.fullmatch(m["id"])]
        if len(found) == len(parts):
            return [RawContext(id=id_in(match["id"]), text=match["text"]) for match in found]
    return []


def context_ids_in(value: Any, separators: Sequence[str]) -> tuple[str | None, ...] | None:
    """Return the ids of a cell, one for each passage; in a list, None for one without.

    Raises:
        ValueError: If one is neither a text nor a number.
    """
    found = unfolded(value)
    return tuple(map(id_in, flat(found))) if isinstance(found, (list, tuple)) else ids_in(value, separators)


def with_ids_and_scores(
    contexts: tuple[RawContext, ...] | None,
    ids: tuple[str | None, ...] | None,
    scores: tuple[float | None, ...] | None,
) -> tuple[RawContext, ...] | None:
    """Return contexts with the ids and scores of columns of their own, but for those with neither text nor id.

    Raises:
        ValueError: If there are more of one than of another.
    """
    given = [len(column) for column in (contexts, ids, scores) if column is not None]
    if not given:
        return None
    if len(set(given)) > 1:
        raise ValueError(f"has {given[0]} passages, but {given[1]} ids or scores: give one for each passage")
    empty = (None,) * given[0]
    rows = zip(contexts or (RawContext(),) * given[0], ids or empty, scores or empty, strict=True)
    return tuple(
        RawContext(id=name or old.id, text=old.text, score=old.score if score is None else score)
        for old, name, score in rows
        if name or old.id or old.text
    )


def scores_in(value: Any, separators: Sequence[str]) -> tuple[float | None, ...] | None:
    """Return the numbers of a cell.

    Raises:
        ValueError: If one is no number.
    """
    found = unfolded(value)
    parts = found if isinstance(found, (list, tuple)) else texts_in(value, separators)
    return None if parts is None or is_empty(value) else tuple(map(any_number_in, parts))


def relevant_in(value: Any, separators: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return ids and their grades, 1 where none is given: of a list, of grades by id, or of objects with both.

    Raises:
        ValueError: If an id or a grade is none.
    """
    found = unfolded(value)
    if is_empty(found):
        return (), ()
    if isinstance(found, Mapping) and not _named(found, _IDS):
        return _graded((id_in(key), grade) for key, grade in found.items())
    parts = texts_in(found, separators) if isinstance(found, (str, list, tuple, Mapping)) else [found]
    if parts and all(isinstance(part, Mapping) for part in parts):
        return _graded((id_in(_named(part, _IDS)), _named(part, _GRADES)) for part in parts)
    return _graded((name, None) for name in ids_in(parts or []) or ())


def _graded(pairs: Iterator[tuple[str | None, Any]]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    grades = {name: 1 if is_empty(grade) else whole_in(grade) or 0 for name, grade in pairs if name}
    return tuple(grades), tuple(grades.values())


def right_texts_in(value: Any, separators: Sequence[str]) -> tuple[str, ...]:
    """Return the texts that right passages hold; Giskard's numbers before them are left out.

    Raises:
        ValueError: If one is no text.
    """
    if isinstance(value, str) and _NUMBERED.match(value):
        return tuple(part.strip() for part in _NUMBERED.split(value) if part.strip())
    return tuple(text for context in contexts_in(value, separators) or () if (text := context.text))
