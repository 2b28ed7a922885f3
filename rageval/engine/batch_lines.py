"""Requests -> files of a batch; lines of its results -> replies. Nothing in a line is trusted to have its shape."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from rageval.config.models import ModelConfig
from rageval.engine.endpoint import endpoint_url
from rageval.engine.faults import NOT_A_COMPLETION, unusable
from rageval.engine.parameters import sent_parameters
from rageval.engine.prices import cost_usd
from rageval.engine.replies import read_completion
from rageval.engine.requests import ChatReply, ChatRequest
from rageval.records import Usage
from rageval.safety.server_message import Redact, message_of, quoted

ENDPOINT: Final = "/v1/chat/completions"
MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000


@dataclass(frozen=True, kw_only=True)
class BatchFile:
    """The requests of one batch: their ids in the order of the lines, and the JSONL that is uploaded."""

    ids: list[str]
    content: bytes


def batch_files(requests: Mapping[str, ChatRequest], model: ModelConfig) -> Iterator[BatchFile]:
    """Yield the requests as files that the Batch API takes: at most 50,000 lines and 200 MB each.

    Args:
        requests: What to ask, by the id (custom_id) that its reply will carry.
        model: Whom to ask.
    """
    ids: list[str] = []
    content = bytearray()
    for custom_id, request in requests.items():
        line = _line(custom_id, request, model)
        if ids and (len(ids) >= MAX_REQUESTS or len(content) + len(line) > MAX_BYTES):
            yield BatchFile(ids=ids, content=bytes(content))
            ids, content = [], bytearray()
        ids.append(custom_id)
        content += line
    if ids:
        yield BatchFile(ids=ids, content=bytes(content))


def read_replies(content: bytes, model: ModelConfig, created_at: datetime, redact: Redact) -> dict[str, ChatReply]:
    """Return the replies in a file of results or errors by id; lines that name no id are left out.

    Args:
        content: The file, one JSON object a line.
        model: Whom the requests were for.
        created_at: When the batch was created, which is what its requests count as sent.
        redact: Removes the key from the server's words, which may repeat it.
    """
    replies = {}
    for text in content.split(b"\n"):
        try:
            line = orjson.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("custom_id"), str):
            replies[line["custom_id"]] = _reply(line, model, created_at, redact)
    return replies


def missing_reply(why: str, created_at: datetime) -> ChatReply:
    """Return the reply that stands for a request which a batch ended without."""
    return ChatReply(text=None, error=why, attempts=0, started_at=created_at)


def _line(custom_id: str, request: ChatRequest, model: ModelConfig) -> bytes:
    # `extra_body` may replace anything, as it does in a request of its own.
    body: dict[str, Any] = {"model": model.served_name, "messages": list(request.messages)}
    if request.response_format:
        body["response_format"] = request.response_format
    body |= sent_parameters(model)
    return orjson.dumps({"custom_id": custom_id, "method": "POST", "url": ENDPOINT, "body": body}) + b"\n"


def _reply(line: Mapping[str, Any], model: ModelConfig, created_at: datetime, redact: Redact) -> ChatReply:
    error, response = line.get("error"), line.get("response")
    if isinstance(error, dict) or not isinstance(response, dict):
        code, message = (_text(error, "code"), _text(error, "message")) if isinstance(error, dict) else ("", "")
        words = f"{message or 'the batch returned no response to this request'} ({code})" if code else message
        return missing_reply(quoted(words or NOT_A_COMPLETION, redact), created_at)
    status, body = response.get("status_code"), response.get("body")
    if status != 200:
        said = message_of(body)
        return _failed(quoted(f"HTTP {status}: {said.text or 'the server does not say why'}", redact), created_at)
    return _completed(body, model, created_at, redact)


def _completed(body: Any, model: ModelConfig, created_at: datetime, redact: Redact) -> ChatReply:
    completion = read_completion(body)
    problem = unusable(completion, model, endpoint_url(model), redact)
    return ChatReply(
        text=None if problem else completion.text,
        error=str(problem) if problem else None,
        attempts=1,
        thinking=completion.thinking,
        finish_reason=completion.finish_reason,
        usage=completion.usage,
        cost_usd=cost_usd(model, completion.usage, tier="batch"),
        started_at=created_at,
    )


def _failed(error: str, created_at: datetime) -> ChatReply:
    return ChatReply(text=None, error=error, attempts=1, usage=Usage(), started_at=created_at)


def _text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""
