"""A system behind an HTTP endpoint: a question in the body of a request, the answer by JMESPath from its reply."""

import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import httpx2
import jmespath
import orjson

from rageval.config.own_systems import PLACEHOLDERS, OwnSystemConfig, own_settings
from rageval.engine.faults import RateLimitedError, RefusedRequestError, RefusedUnlessProvenError, TransientError
from rageval.engine.headers import hidden_in_headers, sent_headers
from rageval.engine.replies import Completion
from rageval.engine.requests import ChatRequest
from rageval.engine.tls import tls_context
from rageval.errors import CredentialsError, RequestFailedError
from rageval.safety.allowances import allowances, check_endpoint
from rageval.safety.server_message import quoted, read_message
from rageval.safety.urls import shown
from rageval.safety.variables import filled_in, filled_in_everywhere, filled_in_values
from rageval.systems.own_replies import UnusableReplyError, reply_of
from rageval.systems.system import OwnSystem
from rageval.text.json_template import json_template

MAX_REPLY_BYTES: Final = 20_000_000
_TRANSIENT: Final = frozenset({408, 409, 425})
_CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class HttpSystem(OwnSystem):
    """An endpoint of its user's own."""

    @property
    def endpoint(self) -> str:
        """Its URL, without secrets."""
        return shown(self.settings.url)

    @property
    def caller(self) -> "HttpCaller":
        """Its settings."""
        return HttpCaller(settings=self.settings)


@dataclass(frozen=True, kw_only=True)
class HttpCaller:
    """The settings of an endpoint as the engine needs them."""

    settings: OwnSystemConfig

    @property
    def identity(self) -> str:
        """Everything that a reply depends on."""
        return orjson.dumps(own_settings(self.settings), option=orjson.OPT_SORT_KEYS).decode()

    @property
    def address(self) -> str:
        """The endpoint: its limits hold for all systems behind it that have the same name."""
        return self.settings.url

    @property
    def url(self) -> str:
        """The endpoint, without secrets."""
        return shown(self.settings.url)

    def connect(self) -> "HttpTransport":
        """Return a client of the endpoint.

        Raises:
            ConfigError: If a variable is not set, or the run may not ask there.
        """
        address = filled_in(self.settings.url)
        check_endpoint(address, self.url)
        return HttpTransport(
            caller=self,
            address=address,
            headers=sent_headers(self.settings.headers),
            context=tls_context(self.settings.tls),
        )

    def redact(self, text: str) -> str:
        """Return a text without what was filled in."""
        settings = self.settings
        hidden = filled_in_values(settings.url) | filled_in_values(settings.body) | hidden_in_headers(settings.headers)
        for value in sorted(hidden, key=len, reverse=True):
            text = text.replace(value, "[key]")
        return text


@dataclass(kw_only=True)
class HttpTransport:
    """Connections to an endpoint."""

    caller: HttpCaller
    address: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    context: ssl.SSLContext | None

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            limits=httpx2.Limits(max_connections=self.caller.settings.max_concurrency),
            follow_redirects=allowances() is None,
            headers=self.headers,
            verify=True if self.context is None else self.context,
        )

    async def check(self) -> None:
        """Do nothing: only a question shows whether the endpoint answers."""

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(self, request: ChatRequest) -> tuple[Completion, Mapping[str, str]]:
        """See `Transport`."""
        settings = self.caller.settings
        started = time.monotonic()
        try:
            async with self._client.stream(settings.http_method, self.address, **self.arguments(request)) as response:
                if response.status_code >= 300:
                    raise self._refusal(response.status_code, await _read(response), response.headers)
                if settings.stream:
                    return await self._streamed(response, started), response.headers
                body = await _read(response)
        except httpx2.HTTPError as error:
            raise TransientError(f"connection failed: {type(error).__name__}") from None
        return self.read(body), response.headers

    def arguments(self, request: ChatRequest) -> dict[str, Any]:
        """Return what is sent beside method and URL: the body, or of a GET the query."""
        settings = self.caller.settings
        *history, last = request.messages
        template = json_template(settings.body, PLACEHOLDERS)
        # Variables first: what a question says is never looked at for any.
        filled = replace(template, body=filled_in_everywhere(template.body)).filled(
            {
                "question": last["content"],
                "history": [dict(turn) for turn in history],
                "metadata": dict(request.metadata),
                "conversation": request.conversation,
            }
        )
        if settings.http_method == "GET":
            return {"params": {name: _query(value) for name, value in filled.items()}}
        return {"content": orjson.dumps(filled), "headers": {"content-type": "application/json"}}

    def read(self, body: bytes) -> Completion:
        """Return what a reply says.

        Raises:
            RequestFailedError: If it is not JSON, or has not the shape that the settings say.
        """
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            said = quoted(body[:500].decode("utf-8", "replace"), self.caller.redact)
            raise RequestFailedError(f"the reply is not JSON: {said}") from None
        return self._completion([value])

    async def _streamed(self, response: httpx2.Response, started: float) -> Completion:
        settings = self.caller.settings
        events: list[Any] = []
        pieces: list[str] = []
        first_token_s = None
        async for value in _events(response, settings.stream):
            piece = _search(settings.piece_path, value)
            if isinstance(piece, str) and piece:
                first_token_s = time.monotonic() - started if first_token_s is None else first_token_s
                pieces.append(piece)
            events.append(value)
        return self._completion(events, answer="".join(pieces) or None, first_token_s=first_token_s)

    def _completion(
        self, values: Sequence[Any], *, answer: str | None = None, first_token_s: float | None = None
    ) -> Completion:
        """Return what is read of a reply, or of the events of a stream, the last of which has the last word."""
        settings = self.caller.settings

        def find(path: str) -> Any:
            found = (_search(path, value) for value in reversed(values))
            return next((value for value in found if value is not None), None)

        try:
            return reply_of(
                answer=answer if settings.stream else find(settings.answer_path),
                contexts=find(settings.contexts_path),
                citations=find(settings.citations_path),
                usage=find(settings.usage_path),
                cost_usd=find(settings.cost_path),
                error=find(settings.error_path),
                first_token_s=first_token_s,
            )
        except UnusableReplyError as error:
            keys = f" (its keys: {', '.join(map(str, values[-1]))[:200]})" if values and _is_object(values[-1]) else ""
            raise RequestFailedError(
                f"the reply cannot be read: {error}{keys}; correct answer_path and contexts_path of the system"
            ) from None

    def _refusal(self, status: int, body: bytes, headers: Mapping[str, str]) -> Exception:
        said = quoted(read_message(body).text, self.caller.redact)
        row = f"HTTP {status}: {said or 'the server does not say why'}"
        if status == 429:
            return RateLimitedError(row, headers, body[:2000].decode("utf-8", "replace"))
        ends = CredentialsError(
            f"{self.caller.url} refused the request ({row}); check the URL and the headers of the system, and the "
            "variables that hold their values"
        )
        if status == 401:
            return ends
        if status in (403, 404, 405):
            return RefusedUnlessProvenError(row, ends)
        if status in _TRANSIENT or status >= 500:
            return TransientError(row)
        return RefusedRequestError(row)


async def _read(response: httpx2.Response) -> bytes:
    """Return the body of a reply.

    Raises:
        RequestFailedError: If it is larger than what is read.
    """
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_REPLY_BYTES:
            raise RequestFailedError(f"the reply is larger than {MAX_REPLY_BYTES:,} bytes, the most that is read")
    return bytes(body)


async def _events(response: httpx2.Response, kind: str) -> AsyncIterator[Any]:
    """Yield the JSON of each event; data that is no JSON is a text of its own."""
    size = 0
    async for line in response.aiter_lines():
        size += len(line)
        if size > MAX_REPLY_BYTES:
            raise RequestFailedError(f"the stream is longer than {MAX_REPLY_BYTES:,} characters, the most that is read")
        data = line.strip()
        if kind == "sse":
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").removeprefix(" ")
        if data == "[DONE]":
            return
        if not data:
            continue
        try:
            yield json.loads(data)
        except (ValueError, RecursionError):
            yield data


def _search(path: str, value: Any) -> Any:
    if not path:
        return None
    if isinstance(value, str):
        return value if path == "@" else None
    try:
        return jmespath.search(path, value)
    except jmespath.exceptions.JMESPathError:
        return None  # a function of it does not take what this reply holds


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _query(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
