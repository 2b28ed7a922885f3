"""The body of a chat completion -> its response: the SDK makes the first request to an account, the others are copies.

Making a request takes the SDK a millisecond, four times as long as sending it, and they differ in their bodies alone.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import httpx2

if TYPE_CHECKING:
    import openai

_PATH: Final = "/chat/completions"
_OF_THE_BODY: Final = b"content-length"


class ChatPost:
    """Sends chat completions to one account."""

    def __init__(self, client: "openai.AsyncOpenAI", connections: httpx2.AsyncClient) -> None:
        self._client = client
        self._connections = connections
        self._first: httpx2.Request | None = None

    async def send(self, body: Mapping[str, Any]) -> httpx2.Response:
        """Return the response, which has been read.

        Raises:
            openai.OpenAIError: If the server refuses the request, or cannot be reached.
        """
        if self._first is None:
            response = await self._client.post(_PATH, cast_to=httpx2.Response, body=body)
            self._first = [*response.history, response][0].request  # not where a redirect has led it
            return response
        return await self._send(self._copy(self._first, body))

    async def _send(self, request: httpx2.Request) -> httpx2.Response:
        import openai  # noqa: PLC0415 - slow to import, and the client has

        try:
            response = await self._connections.send(request)
        except Exception as error:  # whatever it is, as the SDK does: also a key that cannot be read anew
            raise openai.APIConnectionError(request=request) from error
        if response.is_success:
            return response
        kind = openai.RateLimitError if response.status_code == 429 else openai.APIStatusError
        raise kind(f"status {response.status_code}", response=response, body=None)

    @staticmethod
    def _copy(first: httpx2.Request, body: Mapping[str, Any]) -> httpx2.Request:
        return httpx2.Request(
            "POST",
            first.url,
            headers=[(name, value) for name, value in first.headers.raw if name.lower() != _OF_THE_BODY],
            content=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
            extensions=dict(first.extensions),
        )
