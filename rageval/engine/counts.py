"""What has become of the requests of one kind to one model; progress displays and metrics read it while a run goes on.

Requests are counted on the engine's thread. Whoever reads may read from any thread: no count changes its size.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from rageval.engine.requests import ChatReply

BOUNDS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0)
"""Upper ends of the buckets that seconds are counted in; the last bucket has none."""


@dataclass(kw_only=True)
class Durations:
    """How long some things took."""

    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    """How many of them took at most as long as each of `BOUNDS_S`, and longer than the one before; last, the rest."""
    total_s: float = 0.0

    def __add__(self, other: "Durations") -> "Durations":
        pairs = zip(self.buckets, other.buckets, strict=True)
        return Durations(buckets=[mine + theirs for mine, theirs in pairs], total_s=self.total_s + other.total_s)

    def add(self, seconds: float) -> None:
        """Count one that took so long."""
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(kw_only=True)
class ModelCounts:
    """Records that have ended, and the requests that were sent for them; each count can be added up over processes."""

    expected: int = 0
    done: int = 0
    stored: int = 0
    """Of those done: how many were there before and not asked for."""
    failed: int = 0
    in_flight: int = 0
    allowed: int = 0
    """How many the engine allowed in flight when it sent the last one."""
    cost_usd: float = 0.0
    unpriced: int = 0
    """Replies whose cost is unknown: `cost_usd` says nothing of them."""
    without_usage: int = 0
    """Replies that do not say how many tokens they took, which `prompt_tokens` does not count."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: int = 0
    """Times that a request was sent once more, after a refusal or a fault."""
    requests_ok: int = 0
    requests_refused: int = 0
    """Those that the server refused as too many (429)."""
    requests_failed: int = 0
    """Those with another error, and those whose reply could not be used."""
    requests_dropped: int = 0
    """Those whose reply nobody waited for any more: at a deadline, at a stop, or because a second one was quicker."""
    seconds: Durations = field(default_factory=Durations)
    """Of the requests that are ok."""

    def count(self, reply: ChatReply) -> None:
        """Count a record that has ended."""
        self.done += 1
        self.failed += reply.error is not None
        is_reply = reply.error is None or reply.finish_reason is not None
        self.unpriced += is_reply and reply.cost_usd is None
        self.without_usage += is_reply and None in (reply.usage.prompt_tokens, reply.usage.completion_tokens)
        self.cost_usd += reply.cost_usd or 0.0
        self.prompt_tokens += reply.usage.prompt_tokens or 0
        self.completion_tokens += reply.usage.completion_tokens or 0

    def replied(self, reply: ChatReply) -> None:
        """Count a request whose reply can be used."""
        self.requests_ok += 1
        self.seconds.add(reply.latency_s or 0.0)

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count the request that the block sends, if it ends without a reply."""
        import openai  # noqa: PLC0415 - slow to import, and who sends a request has done so

        try:
            yield
        except asyncio.CancelledError:
            self.requests_dropped += 1
            raise
        except openai.RateLimitError:
            self.requests_refused += 1
            raise
        except Exception:
            self.requests_failed += 1
            raise
