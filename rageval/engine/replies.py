"""The body of a reply -> text, thinking, finish reason and usage, or what is wrong with it.

Nothing in a body is trusted to have its shape. Whatever the shape of the rest is, the usage is read: it is paid for.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rageval.records import Context, Usage
from rageval.safety.server_message import ServerMessage, message_of, read_message
from rageval.text.thinking import split_thinking

_LARGEST: Final = 2**63 - 1
_FINISH_REASONS: Final[Mapping[str, str]] = {
    "max_tokens": "length", "max_output_tokens": "length", "model_length": "length",
    "model_context_window_exceeded": "length",
    "safety": "content_filter", "recitation": "content_filter", "blocklist": "content_filter",
    "prohibited_content": "content_filter", "sensitive": "content_filter",
}  # fmt: skip
"""Other names of what tables call `length` and `content_filter`."""


@dataclass(frozen=True, kw_only=True)
class Completion:
    """What a reply says."""

    text: str | None = None
    """The answer, without what the model thought aloud."""
    thinking: str | None = None
    refusal: str | None = None
    """Why the model does not reply, in a field of its own."""
    finish_reason: str | None = None
    """None where it holds no choices or does not say."""
    usage: Usage = field(default_factory=Usage)
    has_choices: bool = True
    fault: ServerMessage | None = None
    """The error that stands in place of a reply, or the beginning of what is no reply at all."""
    fault_status: int | None = None
    """The HTTP status that this error names."""
    contexts: tuple[Context, ...] | None = None
    """What a system of its user's own says that it was shown; None where it does not say."""
    citations: tuple[str, ...] | None = None
    first_token_s: float | None = None
    cost_usd: float | None = None
    """US dollars, where the reply says what it cost."""
    unusable: str | None = None
    """Why a system of its user's own cannot be understood; another attempt would bring the same."""


def decode_completion(content: bytes, content_type: str = "") -> Completion:
    """Return the same for the bytes of a reply; events of a stream that nobody asked for are read, too."""
    if "event-stream" in content_type or content.lstrip().startswith((b"data:", b"event:")):
        reading = StreamReading()
        for _ in reading.pieces(content.decode("utf-8", "replace").splitlines()):
            pass
        return reading.completion()
    try:
        return read_completion(json.loads(content))
    except (ValueError, RecursionError):
        return Completion(has_choices=False, fault=read_message(content[:2000]))


def read_completion(body: Any) -> Completion:
    """Return what is used of a chat completion, given as decoded JSON of any shape."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    choices = _get(body, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    usage = usage_in(_get(body, "usage") or _get(choice, "usage"))
    if error := _get(body, "error") or _get(choice, "error"):
        return _error(message_of(error), _status(_get(error, "code")), usage)
    if not choices and isinstance(body, dict):
        return Completion(usage=usage, has_choices=False)
    content = read_content(_get(choice, "message") or _get(choice, "delta") or choice)
    finish_reason = _finish_reason(_get(choice, "finish_reason"))
    if content is None:
        return Completion(usage=usage, finish_reason=finish_reason, fault=ServerMessage(text=""))
    if finish_reason == "error":
        return _error(ServerMessage(text=content.text or "finish_reason error"), None, usage)
    thinking, text = split_thinking(content.text)
    thoughts = [thought for thought in (content.thinking, thinking) if thought]
    return Completion(
        text=text or None,
        thinking="\n\n".join(thoughts) or None,
        refusal=content.refusal,
        finish_reason=finish_reason,
        usage=usage,
    )


def _error(said: ServerMessage, status: int | None, usage: Usage) -> Completion:
    """Return the error that stands in place of a reply, or in the middle of one."""
    if status is None:
        said = replace(said, text=f"the reply is an error: {said.text}")
    return Completion(usage=usage, finish_reason="error", fault=said, fault_status=status)


@dataclass(frozen=True, kw_only=True)
class Content:
    """The texts of a message, or of a piece of one."""

    text: str = ""
    thinking: str = ""
    refusal: str | None = None


def read_content(message: Any) -> Content | None:
    """Return the texts of a message, whose content may be a text, a list of parts, or `text` of the old API.

    Returns:
        None if it is no message, or its content is nothing that has a text.
    """
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if content is None:
        content = message.get("text")
    texts, thoughts, refusals = [], [_reasoning(message)], [message.get("refusal")]
    parts = content if isinstance(content, list) else [] if content is None else [content]
    for part in parts:
        kind = "text" if isinstance(part, str) else _get(part, "type") or "text"
        if kind in ("thinking", "reasoning"):
            thoughts.append(_joined(_get(part, kind) or _get(part, "text") or _get(part, "content")))
        elif kind == "refusal":
            refusals.append(_get(part, "refusal"))
        else:
            texts.append(part if isinstance(part, str) else _get(part, "text"))
    known = [text for text in texts if isinstance(text, str)]
    said = [refusal for refusal in refusals if isinstance(refusal, str) and refusal]
    if parts and not known and not said and not any(thoughts):
        return None
    return Content(
        text=storable("".join(known)),
        thinking=storable("\n\n".join(thought for thought in thoughts if thought)),
        refusal=storable("\n".join(said)) or None,
    )


def storable(text: str) -> str:
    """Return the text with U+FFFD for lone surrogates, which JSON can carry and UTF-8 files cannot."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class StreamReading:
    """A reply that comes in server-sent events, as far as it has come."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._refusals: list[str] = []
        self._finish_reason: Any = None
        self._usage: Any = None
        self._error: Any = None
        self._ended = False

    def pieces(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the pieces of the text that lines of the stream hold."""
        for line in lines:
            yield from self.take(line)

    def take(self, line: str) -> Iterator[str]:
        """Read one line of the stream, and yield the pieces of the text in it."""
        if not line.startswith("data:"):
            return
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            self._ended = True
            return
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            event = {"error": "an event of the stream is not JSON"}
        choices = _get(event, "choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        self._error = self._error or _get(event, "error") or _get(choice, "error")
        self._usage = (
            _get(event, "usage") or _get(choice, "usage") or _get(_get(event, "x_groq"), "usage") or self._usage
        )
        self._finish_reason = _get(choice, "finish_reason") or self._finish_reason
        content = read_content(_get(choice, "delta") or _get(choice, "message") or choice)
        if content:
            self._thoughts.append(content.thinking)
            self._refusals.append(content.refusal or "")
            if content.text:
                self._texts.append(content.text)
                yield content.text

    @property
    def _is_whole(self) -> bool:
        """Whether the stream has come to its end, and not just to where the connection broke."""
        return self._ended or self._finish_reason is not None or self._error is not None

    def completion(self) -> Completion:
        """Return the reply, once the stream has ended."""
        message = {
            "content": "".join(self._texts),
            "reasoning": "".join(self._thoughts),
            "refusal": "".join(self._refusals),
        }
        choice = {"message": message, "finish_reason": self._finish_reason}
        if not self._is_whole:
            broken = ServerMessage(text="the reply broke off before its end")
            return Completion(usage=usage_in(self._usage), finish_reason="error", fault=broken)
        error = {"error": self._error} if self._error else {}
        return read_completion({"choices": [choice], "usage": self._usage, **error})


def _reasoning(message: Mapping[str, Any]) -> str:
    """Return the thinking that stands in a field of its own: DeepSeek's and vLLM's, or OpenRouter's name for it."""
    return _joined(message.get("reasoning_content") or message.get("reasoning"))


def _joined(thinking: Any) -> str:
    """Return the text of a thinking part, which may be a list of parts itself."""
    if isinstance(thinking, list):
        return "".join(_joined(part if isinstance(part, str) else _get(part, "text")) for part in thinking)
    return thinking if isinstance(thinking, str) else ""


def _finish_reason(reason: Any) -> str | None:
    if not isinstance(reason, str) or not reason:
        return None
    return _FINISH_REASONS.get(reason.lower(), storable(reason) if reason.lower() != "error" else "error")


def _status(code: Any) -> int | None:
    """Return the HTTP status that an error of a reply names, if it names one."""
    text = str(code)
    return int(text) if text.isdecimal() and 400 <= int(text[:4]) < 600 else None


def usage_in(usage: Any) -> Usage:
    """Return the tokens that an object of any shape counts, by the names that servers have for them."""
    prompt, completion = _get(usage, "prompt_tokens_details"), _get(usage, "completion_tokens_details")
    return Usage(
        prompt_tokens=_count(usage, "prompt_tokens", "input_tokens"),
        completion_tokens=_count(usage, "completion_tokens", "output_tokens"),
        cached_tokens=_count(prompt, "cached_tokens"),
        reasoning_tokens=_count(completion, "reasoning_tokens"),
    )


def _count(holder: Any, *names: str) -> int | None:
    for name in names:
        value = _get(holder, name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
            return value
    return None


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else None
