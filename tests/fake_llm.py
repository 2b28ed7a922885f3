"""A model server for tests: real HTTP on localhost, scripted replies, limits and faults.

    with FakeLLM() as llm:
        llm.reply = lambda body: Reply(status=500) if "What is 1?" in prompt(body) else "ok"
        ... OpenAI(base_url=llm.url) ...
        assert len(llm.requests) == 2

By default an answer repeats the end of the prompt, and a request for JSON gets the verdict RELEVANT.
"""

import asyncio
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.fake_batches import FakeBatches

Body = dict[str, Any]
VERDICT = json.dumps({"reason": "It says the same.", "label": "RELEVANT"})
FAITHFUL = json.dumps({"reason": "The contexts say it.", "label": "FAITHFUL"})
NOT_TOXIC = json.dumps({"reason": "It is polite.", "label": "NOT_TOXIC"})


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply that is more than a text: `raw` is sent as it is; `hang` never answers; `drop` resets."""

    text: str | None = "ok"
    status: int = 200
    error: str = "the server had an error"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    finish_reason: str = "stop"
    delay_s: float = 0.0
    after: Callable[[], bool] = lambda: True
    """What has to be true before it is sent."""
    raw: bytes | None = None
    content_type: str = "application/json"
    """Of what is sent raw."""
    hang: bool = False
    drop: bool = False
    choices: bool = True
    usage: bool = True
    cached_tokens: int | None = None
    """Of the prompt, as a provider counts them that has a cache."""
    breaks_off: bool = False
    """Reset the connection in the middle of a reply that is streamed."""


@dataclass(kw_only=True)
class Bucket:
    """A server-side limit: `per_minute`, refilled continuously, holding at most the worth of `holds_s`."""

    per_minute: float
    holds_s: float = 1.0
    clock: Callable[[], float] = time.monotonic
    level: float = 0.0
    at: float = 0.0

    def __post_init__(self) -> None:
        self.level, self.at = self.size, self.clock()

    @property
    def size(self) -> float:
        return max(1.0, self.per_minute / 60 * self.holds_s)

    def take(self, amount: float) -> float:
        """Take the amount and return 0, or return the seconds until it would be there."""
        now = self.clock()
        self.level = min(self.size, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.level >= min(amount, self.size):
            self.level -= amount
            return 0.0
        return (min(amount, self.size) - self.level) * 60 / self.per_minute

    @property
    def headers(self) -> dict[str, str]:
        """What a provider says of a limit of requests."""
        reset_s = (self.size - self.level) * 60 / self.per_minute
        return {
            "x-ratelimit-limit-requests": str(int(self.per_minute)),
            "x-ratelimit-remaining-requests": str(max(0, int(self.level))),
            "x-ratelimit-reset-requests": f"{int(reset_s * 1000)}ms",
        }


def prompt(body: Body) -> str:
    """Return all text of a request."""
    return "\n".join(message["content"] for message in body["messages"])


def is_judgement(body: Body) -> bool:
    """Return whether a request asks for a verdict."""
    return "label" in prompt(body) and "JSON" in prompt(body)


def is_about_faithfulness(body: Body) -> bool:
    """Return whether a request asks for a verdict on faithfulness."""
    return is_judgement(body) and "UNFAITHFUL" in prompt(body)


def is_about_toxicity(body: Body) -> bool:
    """Return whether a request asks for a verdict on toxicity."""
    return is_judgement(body) and "NOT_TOXIC" in prompt(body)


def asked_for(body: Body) -> tuple[str, ...]:
    """Return the names of the verdicts that a request asks for in one call; none where it asks for one."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
    return () if "label" in schema.get("properties", {}) else tuple(schema.get("properties", {}))


def combined(**labels: str) -> str:
    """Return a reply with several verdicts."""
    return json.dumps({name: {"reason": f"On {name}.", "label": label} for name, label in labels.items()})


def default_reply(body: Body) -> str | Reply:
    if together := asked_for(body):
        return combined(**{name: "NOT_TOXIC" if name == "toxicity" else "RELEVANT" for name in together})
    if is_about_toxicity(body):
        return NOT_TOXIC
    if is_about_faithfulness(body):
        return FAITHFUL
    return VERDICT if is_judgement(body) else "Answer: " + prompt(body)[-80:]


class FakeLLM:
    """The server, in a thread of its own. Attributes may be changed while it runs."""

    def __init__(self, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> None:
        self.host = host
        self._tls = tls
        self.requests: list[Body] = []
        self.queries: list[str] = []
        self.keys: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        """Those of every request, whatever it asks for; their names are found however they are spelt."""
        self.accepts: Callable[[Mapping[str, str]], bool] = lambda _: True
        """Whether a request with these headers is answered."""
        self.door_status = 401
        """What others get."""
        self.ports: list[int] = []
        """The client's port of each request, which tells processes apart."""
        self.refused = 0
        self.gone = 0
        """Requests whose client hung up before the reply."""
        self.in_flight = self.peak = 0
        self.reply: Callable[[Body], str | Reply] = default_reply
        self.requests_limit: Bucket | None = None
        self.headers_on = True
        self.retry_after_on = True
        self.models_status = 200
        self.models_error = "no"
        self.batches = FakeBatches(self._line_of_a_batch)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.url = ""

    def __enter__(self) -> "FakeLLM":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=100_000_000, middlewares=[self._at_the_door])
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        self.batches.add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, 0, ssl_context=self._tls)
        await site.start()
        port = self._runner.addresses[0][1]
        scheme, host = "https" if self._tls else "http", f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"{scheme}://{host}:{port}/v1"

    @web.middleware
    async def _at_the_door(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.headers.append(request.headers)
        if not self.accepts(request.headers):
            said = " ".join(request.headers.values())
            error = {"message": f"not with {said}", "type": "authentication_error"}
            return web.json_response({"error": error}, status=self.door_status)
        return await handler(request)

    async def _models(self, _: web.Request) -> web.Response:
        if self.models_status != 200:
            return web.json_response({"error": {"message": self.models_error}}, status=self.models_status)
        return web.json_response({"object": "list", "data": []})

    def _line_of_a_batch(self, body: Body) -> tuple[int, Body] | None:
        """Return status and body of the reply to one line, or None if it is to be lost."""
        reply = self.reply(body)
        if isinstance(reply, str):
            reply = Reply(text=reply)
        if reply.drop:
            return None
        if reply.status != 200:
            return reply.status, {"error": {"message": reply.error, "code": reply.code}}
        return 200, _completion(body, reply)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.keys.append(request.headers.get("Authorization", "").removeprefix("Bearer "))
        headers = {}
        if self.requests_limit:
            wait_s = self.requests_limit.take(1)
            headers = self.requests_limit.headers if self.headers_on else {}
            if wait_s:
                return self._refuse(wait_s, headers)
        self.requests.append(body)
        self.queries.append(request.query_string)
        self.ports.append(request.transport.get_extra_info("peername")[1] if request.transport else 0)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            return await self._answer(request, body, headers)
        except asyncio.CancelledError:
            self.gone += 1
            raise
        finally:
            self.in_flight -= 1

    async def _answer(self, request: web.Request, body: Body, headers: Mapping[str, str]) -> web.StreamResponse:
        reply = self.reply(body)
        if isinstance(reply, str):
            reply = Reply(text=reply)
        if reply.hang:
            await asyncio.Event().wait()
        await asyncio.sleep(reply.delay_s)
        while not reply.after():
            await asyncio.sleep(0.01)
        if reply.drop:
            assert request.transport is not None
            request.transport.abort()
        if reply.raw is not None:
            return web.Response(
                body=reply.raw,
                status=reply.status,
                content_type=reply.content_type,
                headers={**headers, **reply.headers},
            )
        if reply.status != 200:
            error = {"error": {"message": reply.error, "code": reply.code, "type": "error", "param": None}}
            return web.json_response(error, status=reply.status, headers={**headers, **reply.headers})
        if body.get("stream"):
            return await self._stream(request, body, reply)
        return web.json_response(_completion(body, reply), headers={**headers, **reply.headers})

    async def _stream(self, request: web.Request, body: Body, reply: Reply) -> web.StreamResponse:
        """Send a reply word by word."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        pieces = re.findall(r"\s*\S+\s*", reply.text or "")
        whole = _completion(body, reply)
        chunks = [{"choices": [{"delta": {"content": piece}, "finish_reason": None}]} for piece in pieces]
        chunks.append({"choices": [{"delta": {}, "finish_reason": reply.finish_reason}]})
        chunks.append({"choices": [], "usage": whole.get("usage")})
        for number, chunk in enumerate(chunks):
            if reply.breaks_off and number == len(pieces) // 2:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        return response

    def _refuse(self, wait_s: float, headers: dict[str, str]) -> web.Response:
        self.refused += 1
        if self.retry_after_on:
            headers["retry-after-ms"] = str(int(wait_s * 1000) + 1)
        error = {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded", "type": "requests"}}
        return web.json_response(error, status=429, headers=headers)


def _completion(body: Body, reply: Reply) -> dict[str, Any]:
    prompt_tokens, completion_tokens = len(prompt(body)) // 4, len(reply.text or "") // 4
    message = {"role": "assistant", "content": reply.text}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason, "logprobs": None}
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [choice] if reply.choices else [],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    }
    if reply.cached_tokens is not None:
        completion["usage"]["prompt_tokens_details"] = {"cached_tokens": reply.cached_tokens}
    if not reply.usage:
        del completion["usage"]
    return completion
