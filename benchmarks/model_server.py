"""A model server with limits, latencies and faults, as a process of its own: `python -m benchmarks.model_server`.

It prints its address. POST /reset takes the fields of `Behaviour`, GET /stats returns what happened since. Latencies
and faults are drawn by the order of admission, so two runs of as many requests share the same ones.
"""

import asyncio
import dataclasses
import json
import math
import random
import sys
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web

ANSWER = "The retention policy keeps raw events for thirty days and aggregates for one year. " * 4


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the server behaves; 0 is no limit. Buckets hold one second's worth, tokens are characters / 4."""

    latency_ms: float = 0.0
    sigma: float = 0.3
    rpm: float = 0.0
    tpm: float = 0.0
    headers: bool = True
    retry_after: bool = True
    halve_after: int = 0
    p_500: float = 0.0
    p_drop: float = 0.0
    p_hang: float = 0.0


class Bucket:
    """A limit a minute that is refilled continuously."""

    def __init__(self, per_minute: float) -> None:
        self.per_minute = per_minute
        self.level = self.size
        self.at = time.monotonic()

    @property
    def size(self) -> float:
        return max(1.0, self.per_minute / 60)

    def wait_s(self, amount: float) -> float:
        now = time.monotonic()
        self.level = min(self.size, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now
        return max(0.0, (min(amount, self.size) - self.level) * 60 / self.per_minute)


class ModelServer:
    """Answers chat completions and counts."""

    def __init__(self) -> None:
        self.reset(Behaviour())

    def reset(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.latencies, self.faults = random.Random(7), random.Random(8)
        self.requests = Bucket(behaviour.rpm) if behaviour.rpm else None
        self.tokens = Bucket(behaviour.tpm) if behaviour.tpm else None
        self.accepted = self.refused = self.ok = self.in_flight = self.peak = 0
        self.sum_latency_s = 0.0
        self.first = self.last = self.last_reply = self.halved_at = None
        self.accepted_at_halving = 0

    async def handle_reset(self, request: web.Request) -> web.Response:
        self.reset(Behaviour(**await request.json()))
        return web.json_response({})

    async def handle_stats(self, _: web.Request) -> web.Response:
        names = ("accepted", "refused", "ok", "peak", "sum_latency_s", "first", "last", "last_reply", "halved_at")
        return web.json_response({name: getattr(self, name) for name in names})

    async def handle_models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def handle_chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        text = "\n".join(message["content"] for message in body["messages"])
        prompt_tokens = math.ceil(len(text) / 4)
        cost = prompt_tokens + (body.get("max_completion_tokens") or body.get("max_tokens") or 0)
        wait_s = max(
            self.requests.wait_s(1) if self.requests else 0.0, self.tokens.wait_s(cost) if self.tokens else 0.0
        )
        if wait_s:
            return await self._refuse(wait_s)
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        return await self._answer(request, body["model"], text, prompt_tokens, cost, schema)

    async def _refuse(self, wait_s: float) -> web.Response:
        self.refused += 1
        headers = self._limit_headers()
        if self.behaviour.retry_after:
            headers |= {"retry-after-ms": str(math.ceil(wait_s * 1000)), "retry-after": str(math.ceil(wait_s))}
        await asyncio.sleep(0.02)
        error = {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded", "type": "requests"}}
        return web.json_response(error, status=429, headers=headers)

    async def _answer(
        self, request: web.Request, model: str, text: str, prompt_tokens: int, cost: int, schema: Any
    ) -> web.StreamResponse:
        self._admit(cost)
        latency_s = self._latency_s()
        fault = self.faults.random()
        try:
            if fault < self.behaviour.p_hang:
                await asyncio.Event().wait()
            await asyncio.sleep(latency_s)
            fault -= self.behaviour.p_hang
            if fault < self.behaviour.p_drop and request.transport:
                request.transport.abort()
                return web.Response()
            if fault - self.behaviour.p_drop < self.behaviour.p_500:
                return web.json_response({"error": {"message": "server error"}}, status=500)
        finally:
            self.in_flight -= 1
        self.ok += 1
        self.sum_latency_s += latency_s
        self.last_reply = time.monotonic()
        content = verdict(schema) if schema else f"{ANSWER}That is all about {text[-60:]!r}."
        return web.Response(body=_completion(model, content, prompt_tokens), headers=self._limit_headers(),
                            content_type="application/json")  # fmt: skip

    def _admit(self, cost: int) -> None:
        now = time.monotonic()
        if self.requests:
            self.requests.level -= 1
        if self.tokens:
            self.tokens.level -= cost
        self.accepted += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        self.first = self.first or now
        self.last = now
        if self.behaviour.halve_after and self.accepted == self.behaviour.halve_after and self.requests:
            self.requests = Bucket(self.behaviour.rpm / 2)
            self.requests.level = 0.0
            self.halved_at = now

    def _latency_s(self) -> float:
        spread = math.exp(self.latencies.gauss(0, 1) * self.behaviour.sigma)
        return self.behaviour.latency_ms / 1000 * spread

    def _limit_headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        if not self.behaviour.headers:
            return headers
        for name, bucket in (("requests", self.requests), ("tokens", self.tokens)):
            if bucket:
                headers[f"x-ratelimit-limit-{name}"] = str(int(bucket.per_minute))
                headers[f"x-ratelimit-remaining-{name}"] = str(max(0, int(bucket.level)))
                headers[f"x-ratelimit-reset-{name}"] = (
                    f"{max(0, math.ceil((bucket.size - bucket.level) * 60_000 / bucket.per_minute))}ms"
                )
        return headers


def verdict(schema: dict[str, Any]) -> str:
    """Return a reply of the schema, with the first label of each list."""

    def value(of: dict[str, Any]) -> Any:
        if "properties" in of:
            return {name: value(part) for name, part in of["properties"].items()}
        return of["enum"][0] if "enum" in of else "It says the same."

    return json.dumps(value(schema))


def _completion(model: str, content: str, prompt_tokens: int) -> bytes:
    completion_tokens = len(content) // 4
    reply: dict[str, Any] = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens,
                  "total_tokens": prompt_tokens + completion_tokens},
    }  # fmt: skip
    return json.dumps(reply).encode()


async def serve() -> None:
    """Serve on a free port until standard input ends."""
    server = ModelServer()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.handle_chat)
    app.router.add_get("/v1/models", server.handle_models)
    app.router.add_post("/reset", server.handle_reset)
    app.router.add_get("/stats", server.handle_stats)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


def behaviour_fields(behaviour: Behaviour) -> dict[str, Any]:
    """Return a behaviour as the body of POST /reset."""
    return dataclasses.asdict(behaviour)


if __name__ == "__main__":
    asyncio.run(serve())
