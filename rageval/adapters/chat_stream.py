"""One request -> a reply that is handed on piece by piece while the model writes it."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import openai

from rageval.adapters.chat_errors import NOT_A_COMPLETION, TransientError
from rageval.adapters.chat_replies import Completion, read_completion, storable

OnPiece = Callable[[str | None], None]
"""Called with each piece of a reply, on the engine's thread; with None when an attempt has failed, and the reply starts
over."""


async def stream_completion(
    client: openai.AsyncOpenAI, body: Mapping[str, Any], on_piece: OnPiece
) -> tuple[Completion, Mapping[str, str]]:
    """Send a request and hand its reply on as it comes; a server that knows no streams gives it in one piece.

    Args:
        client: Whom to ask.
        body: The request: model, messages, parameters.
        on_piece: Who gets the pieces.

    Returns:
        The whole reply, and the headers of the response.

    Raises:
        openai.OpenAIError: If the server refuses the request, or cannot be reached.
        TransientError: If the reply breaks off, or is none.
    """
    parameters = {name: value for name, value in body.items() if name not in ("model", "messages")}
    async with client.chat.completions.with_streaming_response.create(
        model=body["model"],
        messages=body["messages"],
        stream=True,
        stream_options={"include_usage": True},
        extra_body=parameters,
    ) as response:
        try:
            if "event-stream" not in response.headers.get("content-type", ""):
                completion = read_completion(json.loads(await response.read()))
                on_piece(completion.text or "")
            else:
                reading = _Reading(on_piece)
                async for line in response.iter_lines():
                    reading.take(line)
                completion = reading.completion()
        except httpx2.HTTPError as error:
            raise TransientError(f"the reply broke off: {type(error).__name__}") from None
        return completion, response.headers


class _Reading:
    """A reply as far as it has come."""

    def __init__(self, on_piece: OnPiece) -> None:
        self._on_piece = on_piece
        self._texts: list[str] = []
        self._finish_reason: str | None = None
        self._usage: Any = None

    def take(self, line: str) -> None:
        """Read one line of the stream."""
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            return
        chunk = json.loads(data)
        if not isinstance(chunk, dict) or chunk.get("error"):
            raise TransientError(NOT_A_COMPLETION)
        self._usage = chunk.get("usage") or self._usage
        for choice in (chunk.get("choices") or [])[:1]:
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            text = (choice.get("delta") or {}).get("content")
            if text:
                self._texts.append(storable(text))
                self._on_piece(self._texts[-1])

    def completion(self) -> Completion:
        """Return the reply, once the stream has ended."""
        if self._finish_reason is None:
            raise TransientError("the reply broke off before its end")
        message = {"message": {"content": "".join(self._texts)}, "finish_reason": self._finish_reason}
        return read_completion({"choices": [message], "usage": self._usage})
