"""The budget of one (endpoint, key, model): pace, tokens and concurrency of every request that shares it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rageval.engine.concurrency import AdaptiveConcurrency
from rageval.engine.pacing import Pacer, ServerLimit, read_limits

_CHARS_PER_TOKEN = 4.0
_COMPLETION_TOKENS = 200.0
_LEARNING_RATE = 0.1
_REFUSED_WAIT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Ticket:
    """The admission of one request: when it was sent, and what the pacers had handed out by then."""

    sent: float
    requests_taken: float
    tokens_taken: float


class RequestBudget:
    """Admit requests one after the other, as the limits allow. Lives in one event loop.

    Requests queue in order of arrival. The first in the queue waits for a free slot, for the end of a pause
    that the server asked for, and for its share of requests and tokens a minute, and looks again whenever one
    of them changes.
    """

    def __init__(
        self,
        *,
        rpm: float | None,
        tpm: float | None,
        max_concurrency: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.in_flight = 0
        self._clock = clock
        self._fixed = (rpm is not None, tpm is not None)
        self._share = 1.0
        self._requests = Pacer(rpm) if rpm else None
        self._tokens = Pacer(tpm) if tpm else None
        self._concurrency = AdaptiveConcurrency(max_concurrency)
        self._refusals_in_a_row = 0
        self._last_refusal = float("-inf")
        self._paused_until = float("-inf")
        self._chars_per_token = _CHARS_PER_TOKEN
        self._completion_tokens = _COMPLETION_TOKENS
        self._queue = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def allowed(self) -> int:
        """How many requests may be in flight now, at least 1."""
        return self._concurrency.allowed

    def estimate(self, characters: int, max_completion_tokens: int | None) -> float:
        """Return the tokens to reserve for a request of so many characters, as learnt from earlier replies."""
        return characters / self._chars_per_token + (max_completion_tokens or self._completion_tokens)

    def share(self, share: float) -> None:
        """Keep only that share (above 0, at most 1) of both rates from now on; other processes use the rest."""
        for pacer in (self._requests, self._tokens):
            if pacer:
                pacer.retune(pacer.per_minute * share / self._share, self._clock())
        self._share = share
        self._changed.set()

    @asynccontextmanager
    async def admit(
        self,
        tokens: float,
        check: Callable[[], None] = lambda: None,
        *,
        on_turn: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[Ticket]:
        """Wait until a request may be sent, and hold its slot while the block runs.

        Args:
            tokens: How many it takes.
            check: Raises what ends the wait, if anything does; called again after `look_again`.
            on_turn: Called when it is first in the queue: from then on it waits for the limits alone.
        """
        async with self._queue:
            on_turn()
            await self._wait_for_turn(check)
            now = self._clock()
            if self._requests:
                self._requests.take(now, 1)
            if self._tokens:
                self._tokens.take(now, tokens)
            self.in_flight += 1
            ticket = Ticket(
                sent=now,
                requests_taken=self._requests.taken if self._requests else 0.0,
                tokens_taken=self._tokens.taken if self._tokens else 0.0,
            )
        try:
            yield ticket
        finally:
            self.in_flight -= 1
            self._changed.set()

    def succeeded(self, headers: Mapping[str, str], ticket: Ticket) -> None:
        """Learn from a reply: the server's limits, and whether there is room for more at once."""
        self._refusals_in_a_row = 0
        self._learn_limits(headers, ticket)
        self._concurrency.succeeded(self._clock(), started=ticket.sent, in_flight=self.in_flight)
        self._changed.set()

    def used(
        self, *, characters: int, reserved: float, prompt: int, completion: int, max_completion_tokens: int | None
    ) -> None:
        """Learn from a reply's usage, and give back or take what the reservation was off by.

        Where the request named its most completion tokens, providers count those whole when they admit it,
        so they stay taken.
        """
        if prompt > 0:
            self._chars_per_token += _LEARNING_RATE * (characters / prompt - self._chars_per_token)
        self._completion_tokens += _LEARNING_RATE * (completion - self._completion_tokens)
        if self._tokens:
            counted = prompt + (max_completion_tokens or completion)
            self._tokens.correct(self._clock(), counted - reserved)
            self._changed.set()

    def refused(self, headers: Mapping[str, str], ticket: Ticket, *, retry_after: float | None) -> None:
        """Pause everything for as long as the server asked (429), or for a growing while if it did not say."""
        self._learn_limits(headers, ticket)
        now = self._clock()
        if not retry_after:  # 0 would be asking again at once what was refused just now
            if ticket.sent >= self._last_refusal:
                self._refusals_in_a_row += 1
            retry_after = min(30.0, _REFUSED_WAIT_S * 2.0 ** (self._refusals_in_a_row - 1))
        self._last_refusal = now
        self._paused_until = max(self._paused_until, now + retry_after)
        self._concurrency.halve(now, started=ticket.sent)

    def failed(self, ticket: Ticket) -> None:
        """Learn from a server error, a lost connection or a time-out."""
        self._concurrency.failed(self._clock(), started=ticket.sent)

    def look_again(self) -> None:
        """Let whoever waits check once more whether it still has to."""
        self._changed.set()

    async def _wait_for_turn(self, check: Callable[[], None]) -> None:
        while True:
            check()
            self._changed.clear()
            if self.in_flight >= self._concurrency.allowed:
                await self._changed.wait()
                continue
            delay = self._delay()
            if delay <= 0:
                return
            try:
                async with asyncio.timeout(delay):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _delay(self) -> float:
        now = self._clock()
        pacers = [pacer.delay(now) for pacer in (self._requests, self._tokens) if pacer]
        return max(self._paused_until - now, *pacers, 0.0)

    def _learn_limits(self, headers: Mapping[str, str], ticket: Ticket) -> None:
        limits = read_limits(headers)
        rpm_fixed, tpm_fixed = self._fixed
        self._requests = self._learn(self._requests, limits.requests, ticket.sent, ticket.requests_taken, rpm_fixed)
        self._tokens = self._learn(self._tokens, limits.tokens, ticket.sent, ticket.tokens_taken, tpm_fixed)

    def _learn(
        self, pacer: Pacer | None, limit: ServerLimit | None, sent: float, taken: float, fixed: bool
    ) -> Pacer | None:
        if limit is None:
            return pacer
        now, per_minute = self._clock(), limit.per_minute * self._share
        if pacer is None:
            return Pacer(per_minute)
        elif pacer.per_minute != per_minute and not fixed:
            pacer.retune(per_minute, now)
        # Of a shared limit, the server's own bucket says nothing: `mirror` leaves alone what is about another rate.
        pacer.mirror(now, limit, sent=sent, taken=taken)
        return pacer
