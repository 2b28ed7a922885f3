"""The request engine against a server with limits and faults: wall time over the ideal, refusals, losses, CPU."""

import json
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.model_server import Behaviour, behaviour_fields
from rageval.config.models import ModelConfig
from rageval.engine.request_engine import RequestEngine
from rageval.engine.requests import ChatReply, ChatRequest

Stats = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """So many requests to a server that behaves so, and the shortest time they could take."""

    name: str
    bar: str
    requests: int
    behaviour: Behaviour
    ideal_s: Callable[[Stats], float]
    model: dict[str, Any]
    prompt_chars: int = 600


@dataclass(frozen=True, kw_only=True)
class EngineMeasurement:
    """What a scenario took. `ratio` is measured at the server from first to last accepted request."""

    scenario: Scenario
    wall_s: float
    ratio: float
    refused: int
    lost: int
    cpu_ms: float


def _by_rate(requests: int, per_minute: float) -> float:
    """The bucket starts with one second's worth."""
    return (requests - per_minute / 60) * 60 / per_minute


SCENARIOS = (
    Scenario(
        name="no limits, 200 ms, 64 at once", bar="1.12", requests=2000, behaviour=Behaviour(latency_ms=200),
        ideal_s=lambda stats: stats["sum_latency_s"] / 64, model={},
    ),
    Scenario(
        name="3,000 RPM", bar="1.03, no 429", requests=1000, behaviour=Behaviour(latency_ms=200, rpm=3000),
        ideal_s=lambda _: _by_rate(1000, 3000), model={"rpm": 3000},
    ),
    Scenario(
        name="300,000 TPM, 600-token prompts", bar="1.03, no 429", requests=200,
        behaviour=Behaviour(latency_ms=200, tpm=300_000), prompt_chars=2400 - 5,
        ideal_s=lambda _: _by_rate(200 * 600, 300_000), model={"tpm": 300_000},
    ),
    Scenario(
        name="limits unknown, headers on", bar="1.10, 429s at most 1 %", requests=1000,
        behaviour=Behaviour(latency_ms=200, rpm=3000), ideal_s=lambda _: _by_rate(1000, 3000), model={},
    ),
    Scenario(
        name="limits unknown, no headers", bar="1.30, 429s at most 5 %", requests=1000,
        behaviour=Behaviour(latency_ms=200, rpm=3000, headers=False, retry_after=False),
        ideal_s=lambda _: _by_rate(1000, 3000), model={},
    ),
    Scenario(
        name="limit halved in the middle", bar="1.10 of the new ideal", requests=1000,
        behaviour=Behaviour(latency_ms=200, rpm=3000, halve_after=500),
        ideal_s=lambda _: _by_rate(500, 3000) + 500 * 60 / 1500, model={},
    ),
    Scenario(
        name="5 % 500s, 2 % drops, 1 % hangs", bar="1.5 + one timeout", requests=300,
        behaviour=Behaviour(latency_ms=200, p_500=0.05, p_drop=0.02, p_hang=0.01),
        ideal_s=lambda stats: stats["sum_latency_s"] / 64 * 1.5 + 5, model={"timeout_s": 5},
    ),
    Scenario(
        name="30,000 RPM", bar="at least 250 a second, 3.3 ms CPU", requests=5000,
        behaviour=Behaviour(latency_ms=200, rpm=30_000), ideal_s=lambda _: 5000 / 250, model={"rpm": 30_000,
        "max_concurrency": 128},
    ),
)  # fmt: skip


def measure(scenario: Scenario, server: str) -> EngineMeasurement:
    """Run a scenario."""
    reset(server, scenario.behaviour)
    replies: dict[int, ChatReply] = {}
    model = ModelConfig(name="bench", base_url=f"{server}/v1", **scenario.model)
    requests = [
        ChatRequest(messages=[{"role": "user", "content": f"{number:04d} {'x' * scenario.prompt_chars}"}])
        for number in range(scenario.requests)
    ]
    with RequestEngine() as engine:
        started, cpu = time.monotonic(), time.process_time()
        engine.submit(requests, model, replies.__setitem__, label="bench").result()
        wall_s, cpu_s = time.monotonic() - started, time.process_time() - cpu
    with urllib.request.urlopen(f"{server}/stats") as reply:
        stats = json.load(reply)
    return EngineMeasurement(
        scenario=scenario,
        wall_s=wall_s,
        ratio=(stats["last"] - stats["first"]) / scenario.ideal_s(stats),
        refused=stats["refused"],
        lost=scenario.requests - sum(reply.error is None for reply in replies.values()),
        cpu_ms=1000 * cpu_s / scenario.requests,
    )


def reset(server: str, behaviour: Behaviour) -> None:
    """Let the server behave so from now on, and count from zero."""
    body = json.dumps(behaviour_fields(behaviour)).encode()
    request = urllib.request.Request(f"{server}/reset", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()
