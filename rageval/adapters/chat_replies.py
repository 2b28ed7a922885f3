"""The body of a reply -> text, finish reason and usage, or an error: nothing in it is trusted to have its shape."""

from dataclasses import dataclass
from typing import Any

from rageval.adapters.chat_errors import NOT_A_COMPLETION, TransientError
from rageval.records import Usage

_LARGEST = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What a reply says; `finish_reason` is None where it holds no choices or does not say."""

    text: str | None
    finish_reason: str | None
    usage: Usage


def read_completion(body: Any) -> Completion:
    """Return what is used of a chat completion, given as decoded JSON of any shape.

    Raises:
        TransientError: If it does not have the shape of one.
    """
    choices = _get(body, "choices")
    usage = _usage(_get(body, "usage"))
    if not choices:
        if not isinstance(body, dict):
            raise TransientError(NOT_A_COMPLETION)
        return Completion(text=None, finish_reason=None, usage=usage)
    choice = choices[0] if isinstance(choices, list) else None
    message, finish_reason = _get(choice, "message"), _get(choice, "finish_reason")
    text = _get(message, "content")
    if not isinstance(message, dict) or not isinstance(text, str | None) or not isinstance(finish_reason, str | None):
        raise TransientError(NOT_A_COMPLETION)
    return Completion(text=storable(text) if text else text, finish_reason=finish_reason, usage=usage)


def storable(text: str) -> str:
    """Return the text with U+FFFD for lone surrogates, which JSON can carry and UTF-8 files cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _usage(usage: Any) -> Usage:
    prompt, completion = _get(usage, "prompt_tokens_details"), _get(usage, "completion_tokens_details")
    return Usage(
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        cached_tokens=_count(prompt, "cached_tokens"),
        reasoning_tokens=_count(completion, "reasoning_tokens"),
    )


def _count(holder: Any, name: str) -> int | None:
    value = _get(holder, name)
    return value if isinstance(value, int) and 0 <= value <= _LARGEST else None


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else None
