"""What every request passes before and after the app: limits, the key, the size of its body, strict headers, counts."""

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.limits import RateLimit, client_of
from serving.problems import SENTENCES, HttpError, problem
from serving.settings import API_KEY_VARIABLE, ChatSettings
from serving.signals import Signals

_BODY_S = 10.0
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_POSTED = {"/api/ask", "/api/feedback"}
_ROUTES = {"/", "/api/ask", "/api/feedback", "/api/filter-values", "/health", "/metrics", "/openapi.json"}


class Guard:
    """An ASGI app around another one."""

    def __init__(self, app: ASGIApp, settings: ChatSettings, signals: Signals) -> None:
        self._app, self._settings, self._signals = app, settings, signals
        self._questions = RateLimit(settings.questions_per_minute, settings.burst)
        self._requests = RateLimit(settings.requests_per_minute, 6 * settings.burst)
        self._under_way: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), "500"

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        route = scope["path"] if scope["path"] in _ROUTES else "other"
        try:
            with self._signals.requests_in_flight.track_inprogress():
                await self._pass(scope, receive, send_on)
        finally:
            self._signals.requests.labels(route, status).inc()
            self._signals.request_seconds.labels(route).observe(time.monotonic() - started)

    def note_refused(self, reason: str) -> None:
        """Count what was turned away."""
        self._signals.turned_away.labels(reason).inc()

    def admit_question(self, host: str) -> None:
        """Take a token for a question that can be asked.

        Raises:
            HttpError: If there is none.
        """
        self._take(self._questions, host, "questions")

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = host_of(scope)
        client = client_of(host)
        self._under_way[client] += 1
        try:
            self._check(scope, client)
            if scope["method"] == "POST":
                receive = _replayed(await self._body(Headers(scope=scope), receive), receive)
            # Only now: what anybody can send in another's name, or by mistake, costs them nothing.
            self._admit(scope, host)
            await self._app(scope, receive, send)
        except HttpError as error:
            await problem(error.status_code, error.detail, error.headers)(scope, receive, send)
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _check(self, scope: Scope, client: str) -> None:
        path, headers = scope["path"], Headers(scope=scope)
        if self._under_way[client] > self._settings.connections_per_client:
            raise self._refused(
                "connections", 503, "Too many requests at once. Try again in a second.", retry_after_s=1
            )
        if not self._settings.allows(_name(headers.get("host", ""))):
            raise self._refused(
                "host", 400, "The app is not called by this name. Use the address that it printed, or start it with "
                "--allowed-host and this name.",
            )  # fmt: skip
        if "\x00" in path:
            raise self._refused("path", 404, "There is no such page.")
        if scope["method"] not in (allowed := ("POST",) if path in _POSTED else ("GET", "HEAD")):
            raise self._refused("method", 405, SENTENCES[405], allow=", ".join(allowed))
        if (scope["method"] == "POST" or _is_limited(path)) and self._is_of_another_site(scope["method"], headers):
            raise self._refused("cross-site", 403, "Another site sent this. Open the chat page itself.")

    def _is_of_another_site(self, method: str, headers: Headers) -> bool:
        """Return whether a browser says so; over plain HTTP it names the origin alone, and that not of every GET."""
        if (site := headers.get("sec-fetch-site")) is not None:
            is_link = method != "POST" and headers.get("sec-fetch-dest") == "document"
            return site not in ("same-origin", "none") and not is_link
        if (origin := headers.get("origin")) is None:
            return False
        address = origin.partition("://")[2].lower()
        return address != headers.get("host", "").lower() and _name(address) not in self._settings.allowed_hosts

    def _admit(self, scope: Scope, host: str) -> None:
        """Take a token, and look at the key: who guesses it needs one for each try."""
        if not _is_limited(scope["path"]):
            return
        self._take(self._requests, host, "requests")
        key = self._settings.api_key.encode()
        sent = Headers(scope=scope).get("authorization", "").removeprefix("Bearer ").encode("latin-1")
        if key and not hmac.compare_digest(sent, key):
            raise self._refused(
                "key", 401, f"A key is needed: send the one in {API_KEY_VARIABLE} as `Authorization: Bearer KEY`."
            )

    def _take(self, limit: RateLimit, host: str, what: str) -> None:
        if wait_s := limit.wait_s(host):
            raise self._refused("rate", 429, f"Too many {what}. Try again in {wait_s} s.", retry_after_s=wait_s)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        most = self._settings.max_body_bytes
        too_large = f"The body is larger than {most:,} bytes."
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > most:
            raise self._refused("size", 413, too_large)
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_S):
                while True:
                    message = await receive()
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise self._refused("size", 413, too_large)
                    if not message.get("more_body"):
                        return bytes(body)
        except TimeoutError:
            raise self._refused("slow", 408, f"The body did not come within {_BODY_S:g} s.") from None

    def _refused(
        self, reason: str, status: int, sentence: str, *, retry_after_s: int | None = None, allow: str = ""
    ) -> HttpError:
        self.note_refused(reason)
        return HttpError(status, sentence, retry_after_s=retry_after_s, allow=allow)


def host_of(scope: Scope) -> str:
    """Return the address of the client, or what a proxy that is believed reports."""
    return str(scope["client"][0]) if scope.get("client") else ""


def _is_limited(path: str) -> bool:
    return path.startswith(("/api/", "/metrics"))


def _name(address: str) -> str:
    """Return the name that the client knows the app by, without the port."""
    try:
        return urlsplit(f"//{address}").hostname or ""
    except ValueError:
        return ""


def _replayed(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Return a `receive` that gives the body that was read, and then whatever comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
