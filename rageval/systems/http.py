"""A system behind an HTTP endpoint: a question in the body of a request, the answer by JMESPath from its reply."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import httpx2
import orjson

from rageval.config.own_systems import PLACEHOLDERS, OwnSystemConfig, own_settings
from rageval.engine.faults import RateLimitedError, RefusedRequestError, RefusedUnlessProvenError, TransientError
from rageval.engine.headers import hidden_in_headers, sent_headers
from rageval.engine.replies import Completion
from rageval.engine.requests import ChatRequest
from rageval.engine.tls import tls_context
from rageval.errors import ConfigError, CredentialsError, ServiceError
from rageval.safety.allowances import check_endpoint
from rageval.safety.server_message import quoted, read_message
from rageval.safety.urls import shown
from rageval.safety.variables import filled_in, filled_in_everywhere, filled_in_values
from rageval.systems.http_replies import ReplyReading, events, whole_body
from rageval.systems.system import OwnSystem
from rageval.text.json_template import json_template

_TRANSIENT: Final = frozenset({408, 409, 425})
_CONNECT_TIMEOUT_S: Final = 10.0
_CHECK_TIMEOUT_S: Final = 15.0


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
        """The endpoint: its limits hold for all systems behind it."""
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
    on_received: Callable[[bytes], None] | None = None

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            timeout=httpx2.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            limits=httpx2.Limits(max_connections=self.caller.settings.max_concurrency),
            follow_redirects=False,  # headers that hold keys go where the settings say, and nowhere else
            headers={"content-type": "application/json", **{name.lower(): text for name, text in self.headers.items()}},
            verify=True if self.context is None else self.context,
        )

    async def check(self) -> None:
        """See whether anything answers there: `OPTIONS` asks no question, and whatever it is answered with will do.

        Raises:
            ServiceError: If nothing does.
        """
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S), self._client.stream("OPTIONS", self.address):
                return
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
            raise _unreachable(error, self.caller.url) from None
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            raise ConfigError(f"the url {self.caller.url} is no http or https URL; correct it") from None
        except (httpx2.HTTPError, TimeoutError):
            return  # it is there; what it thinks of a question, only a question shows

    def described(self, request: ChatRequest) -> str:
        """Return method, URL, headers and body without secrets."""
        url, content = self.sent(request)
        headers = {"content-type": "application/json", **{name.lower(): text for name, text in self.headers.items()}}
        lines = [f"{self.caller.settings.http_method} {url}", *(f"{name}: {text}" for name, text in headers.items())]
        if content is not None:
            lines += ["", orjson.dumps(orjson.loads(content), option=orjson.OPT_INDENT_2).decode()]
        return self.caller.redact("\n".join(lines))

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def send(self, request: ChatRequest) -> tuple[Completion, Mapping[str, str]]:
        """See `Transport`."""
        settings = self.caller.settings
        reading = ReplyReading(settings=settings)
        url, content = self.sent(request)
        try:
            async with self._client.stream(settings.http_method, url, content=content) as response:
                parts = self._seen(response.aiter_bytes())
                if response.status_code >= 300:
                    raise self._refusal(response.status_code, await whole_body(parts), response.headers)
                if not settings.stream or response.headers.get("content-type", "").startswith("application/json"):
                    return reading.whole(await whole_body(parts)), response.headers
                async for event in events(parts, settings.stream):
                    reading.take(event)
        except httpx2.HTTPError as error:
            raise TransientError(f"connection failed: {type(error).__name__}") from None
        return reading.streamed(), response.headers

    async def _seen(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for part in parts:
            if self.on_received:
                self.on_received(part)
            yield part

    def sent(self, request: ChatRequest) -> tuple[httpx2.URL, bytes | None]:
        """Return where a request goes, with the query of a GET, and its body."""
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
        url = httpx2.URL(self.address)
        if settings.http_method == "GET":
            return url.copy_merge_params({name: _query(value) for name, value in filled.items()}), None
        return url, orjson.dumps(filled)

    def _refusal(self, status: int, body: bytes, headers: Mapping[str, str]) -> Exception:
        said = quoted(read_message(body).text, self.caller.redact)
        row = f"HTTP {status}: {said or 'the server does not say why'}"
        if status == 429:
            return RateLimitedError(row, headers, body[:2000].decode("utf-8", "replace"))
        if status < 400:
            to = shown(self.caller.redact(headers.get("location", "")))
            return RefusedUnlessProvenError(
                f"HTTP {status}: it redirects to {to}",
                ConfigError(f"{self.caller.url} redirects to {to}, and redirects are not followed; correct the url"),
            )
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


def _unreachable(error: Exception, url: str) -> ServiceError:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return ServiceError(
            f"no connection to {url} can be secured ({cause.reason or 'refused'}); name its authority in tls.ca_file "
            "of the system and, where it wants one, a certificate in tls.client_certificate"
        )
    return ServiceError(f"the endpoint {url} cannot be reached; check that it runs, and the url of the system")


def _query(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
