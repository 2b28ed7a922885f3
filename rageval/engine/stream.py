"""One request -> a reply that is handed on piece by piece while the model writes it."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import httpx2

from rageval.engine.replies import Completion, StreamReading, decode_completion
from rageval.text.thinking import begun_answer

if TYPE_CHECKING:
    import openai

OnPiece = Callable[[str | None], None]
"""Called with each piece of a reply, on the engine's thread; with None when what was handed on does not count, and the
reply starts over."""


class BrokenStreamError(Exception):
    """The connection ended in the middle of a reply."""


async def stream_completion(
    client: "openai.AsyncOpenAI", body: Mapping[str, Any], on_piece: OnPiece
) -> tuple[Completion, Mapping[str, str]]:
    """Send a request and hand its reply on as it comes; a server that knows no streams gives it in one piece.

    Thinking is no part of the answer and is not handed on.

    Args:
        client: Whom to ask.
        body: The request: model, messages, parameters.
        on_piece: Who gets the pieces.

    Returns:
        The whole reply, and the headers of the response.

    Raises:
        openai.OpenAIError: If the server refuses the request, or cannot be reached.
        BrokenStreamError: If the reply breaks off.
    """
    parameters = {name: value for name, value in body.items() if name not in ("model", "messages")}
    async with client.chat.completions.with_streaming_response.create(
        model=body["model"],
        messages=body["messages"],
        stream=True,
        stream_options={"include_usage": True},
        extra_body=parameters,
    ) as response:
        answer = _Answer(on_piece)
        try:
            if "event-stream" not in response.headers.get("content-type", ""):
                completion = decode_completion(await response.read())
            else:
                reading = StreamReading()
                async for line in response.iter_lines():
                    for piece in reading.take(line):
                        answer.add(piece)
                completion = reading.completion()
        except httpx2.HTTPError as error:
            raise BrokenStreamError(type(error).__name__) from None
        if completion.fault is None:
            answer.end(completion.text or "")
        return completion, response.headers


class _Answer:
    """What of a reply is handed on: nothing while it may all be thinking."""

    def __init__(self, on_piece: OnPiece) -> None:
        self._on_piece = on_piece
        self._held = ""
        self._shown = ""

    def add(self, piece: str) -> None:
        """Hand on what the piece adds to the answer."""
        if not self._shown:
            self._held += piece
            piece = begun_answer(self._held) or ""
        if piece:
            self._shown += piece
            self._on_piece(piece)

    def end(self, text: str) -> None:
        """Hand on the whole answer anew where it is not what the pieces came to."""
        if text != self._shown:
            if self._shown:
                self._on_piece(None)
            self._on_piece(text)
