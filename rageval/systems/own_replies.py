"""What a system of its user's own replies, of any shape -> what the engine knows. Nothing in it is trusted."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rageval.engine.replies import Completion, storable, usage_in
from rageval.records import Context
from rageval.safety.server_message import message_of

MAX_CONTEXTS: Final = 1000
_MAX_CHARS: Final = 1_000_000
_ANSWER: Final = ("answer", "response", "output", "text", "result", "content")
_CONTEXTS: Final = (
    "contexts",
    "retrieved_contexts",
    "retrieval_context",
    "context",
    "documents",
    "sources",
    "passages",
)
_CONTEXT_IDS: Final = ("context_ids", "retrieved_context_ids", "document_ids")
_CONTEXT_SCORES: Final = ("context_scores", "scores")
_USAGE: Final = ("usage", "usage_metadata", "token_usage")
_ID: Final = ("id", "document_id", "doc_id", "passage_id", "chunk_id", "_id", "source")
_TEXT: Final = ("text", "page_content", "content", "passage", "body", "chunk")
_SCORE: Final = ("score", "similarity", "relevance_score", "_score")


class UnusableReplyError(ValueError):
    """A reply has not the shape that it must have; the message says what was expected and found."""


def completion_of(value: Any) -> Completion:
    """Return what a function has returned: a text, a mapping, or an object with such attributes.

    Raises:
        UnusableReplyError: If it is something else.
    """
    if isinstance(value, str):
        return reply_of(answer=value, contexts=None)
    fields = _fields(value)
    if fields is None:
        raise UnusableReplyError(f"expected a text, a mapping or a rageval.Answer, found {type(value).__name__}")
    return reply_of(
        answer=_first(fields, _ANSWER),
        contexts=_first(fields, _CONTEXTS),
        ids=_first(fields, _CONTEXT_IDS),
        scores=_first(fields, _CONTEXT_SCORES),
        citations=fields.get("citations"),
        usage=_first(fields, _USAGE) or fields,
        cost_usd=fields.get("cost_usd"),
        error=fields.get("error"),
    )


def reply_of(
    *, answer: Any, contexts: Any, ids: Any = None, scores: Any = None, citations: Any = None, usage: Any = None,
    cost_usd: Any = None, error: Any = None, first_token_s: float | None = None,
) -> Completion:  # fmt: skip
    """Return the reply that these parts come to.

    Args:
        answer: A text; None where only contexts come.
        contexts: A list of texts, or of objects with id, text and score; None where it does not say.
        ids: Ids of the contexts, in the same order, where they stand in a list of their own.
        scores: Scores of the contexts, likewise.
        citations: A list of texts or ids.
        usage: An object that counts tokens.
        cost_usd: US dollars.
        error: Whatever is not empty says that there is no answer.
        first_token_s: Seconds until the first piece of a stream.

    Raises:
        UnusableReplyError: If a part is something else, or there is neither an answer nor a list of contexts.
    """
    if error not in (None, "", False, [], {}):
        said = message_of(error if isinstance(error, (str, Mapping, list)) else str(error))
        return Completion(usage=usage_in(usage), finish_reason="error", fault=said)
    shown = contexts_of(contexts, ids, scores)
    if answer is not None and not isinstance(answer, str):
        raise UnusableReplyError(f"the answer is no text but {type(answer).__name__}")
    if answer is None and shown is None:
        raise UnusableReplyError("the reply holds neither an answer nor contexts")
    return Completion(
        text=None if answer is None else storable(answer[:_MAX_CHARS]),
        usage=usage_in(usage),
        contexts=shown,
        citations=None if citations is None else tuple(_texts(citations)),
        cost_usd=_number(cost_usd),
        first_token_s=first_token_s,
    )


def contexts_of(value: Any, ids: Any = None, scores: Any = None) -> tuple[Context, ...] | None:
    """Return a list of contexts, best first; a text alone is one context. None where neither they nor ids are said.

    Raises:
        UnusableReplyError: If it is no list of texts or of objects with an id or a text, or the lists differ in length.
    """
    given, given_ids, given_scores = _items(value, "contexts"), _items(ids, "ids"), _items(scores, "scores")
    if given is None and given_ids is None:
        return None
    found = [Context() for _ in given_ids or ()] if given is None else [_context(item) for item in given]
    for name, column in (("ids", given_ids), ("scores", given_scores)):
        if column is not None and len(column) != len(found):
            raise UnusableReplyError(f"there are {len(found)} contexts and {len(column)} {name} of them")
    return tuple(
        dataclasses.replace(
            context,
            id=context.id if given_ids is None else _id_text(given_ids[at]),
            score=context.score if given_scores is None else _number(given_scores[at]),
        )
        for at, context in enumerate(found)
    )


def _items(value: Any, what: str) -> Sequence[Any] | None:
    if value is None:
        return None
    items = [value] if isinstance(value, (str, Mapping)) else value
    if not isinstance(items, Sequence):
        raise UnusableReplyError(f"the {what} are no list but {type(value).__name__}")
    if len(items) > MAX_CONTEXTS:
        raise UnusableReplyError(f"the reply holds {len(items):,} {what}; at most {MAX_CONTEXTS:,} are read")
    return items


def _id_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise UnusableReplyError(f"the id of a context is no text and no whole number but {type(value).__name__}")
    return storable(str(value))[:1000]


def _context(item: Any) -> Context:
    if isinstance(item, str):
        return Context(text=storable(item[:_MAX_CHARS]))
    fields = _fields(item)
    if fields is None:
        raise UnusableReplyError(f"a context is no text and no object but {type(item).__name__}")
    metadata = fields.get("metadata")
    id_ = _first(fields, _ID) or (_first(metadata, _ID) if isinstance(metadata, Mapping) else None)
    text = _first(fields, _TEXT)
    id_ = None if isinstance(id_, bool) else id_
    if not isinstance(id_, (str, int)) and not isinstance(text, str):
        raise UnusableReplyError(
            f"a context has neither an id nor a text; it has {', '.join(map(str, fields))[:200] or 'nothing'}"
        )
    return Context(
        id=_id_text(id_) if isinstance(id_, (str, int)) else None,
        text=storable(text[:_MAX_CHARS]) if isinstance(text, str) else None,
        score=_number(_first(fields, _SCORE)),
    )


def _fields(value: Any) -> Mapping[str, Any] | None:
    """Return what a mapping, a dataclass or a model of pydantic holds, or None."""
    if isinstance(value, Mapping):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if callable(dump := getattr(value, "model_dump", None)):
        dumped = dump()
        return dumped if isinstance(dumped, Mapping) else None
    return None


def _first(fields: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), None)


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [storable(str(item))[:_MAX_CHARS] for item in items[:MAX_CONTEXTS] if isinstance(item, (str, int))]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def unusable(why: str) -> Completion:
    """Return what stands for a reply that nothing can be read from; it is paid for, and not asked for again."""
    return Completion(finish_reason="error", unusable=why)
