"""The budget of one (endpoint, key, model): pace, tokens and concurrency of every request that shares it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from rageval.errors import RagevalError
from rageval.pacing import Pacer, read_limits

_START_CONCURRENCY = 8
_CHARS_PER_TOKEN = 4.0
_COMPLETION_TOKENS = 200.0
_LEARNING_RATE = 0.1
_REFUSED_WAIT_S = 1.0


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
        self.broken: RagevalError | None = None
        """Why no request of this budget can succeed any more, such as a refused key."""
        self.in_flight = 0
        self._clock = clock
        self._fixed = (rpm is not None, tpm is not None)
        self._requests = Pacer(rpm) if rpm else None
        self._tokens = Pacer(tpm) if tpm else None
        self._ceiling = max_concurrency
        self._allowed = float(min(_START_CONCURRENCY, max_concurrency))
        self._slow_start = True
        self._last_decrease = float("-inf")
        self._refusals_in_a_row = 0
        self._paused_until = float("-inf")
        self._chars_per_token = _CHARS_PER_TOKEN
        self._completion_tokens = _COMPLETION_TOKENS
        self._queue = asyncio.Lock()
        self._changed = asyncio.Event()

    def estimate(self, characters: int, max_completion_tokens: int | None) -> float:
        """Return the tokens to reserve for a request of so many characters, as learnt from earlier replies."""
        return characters / self._chars_per_token + (max_completion_tokens or self._completion_tokens)

    @asynccontextmanager
    async def admit(self, tokens: float, on_turn: Callable[[], None] = lambda: None) -> AsyncIterator[float]:
        """Wait until a request of so many tokens may be sent, and hold its slot; yields the time of sending.

        `on_turn` is called when it is first in the queue: from then on it waits for the limits alone.
        """
        async with self._queue:
            on_turn()
            await self._wait_for_turn()
            now = self._clock()
            if self._requests:
                self._requests.take(now, 1)
            if self._tokens:
                self._tokens.take(now, tokens)
            self.in_flight += 1
        try:
            yield now
        finally:
            self.in_flight -= 1
            self._changed.set()

    def succeeded(self, headers: Mapping[str, str], *, started: float) -> None:
        """Learn from a reply: the server's limits, and that there may be room for one more at once."""
        self._refusals_in_a_row = 0
        self._learn_limits(headers)
        if started < self._last_decrease:
            return
        if self.in_flight >= int(self._allowed):
            self._allowed = min(self._ceiling, self._allowed + (1 if self._slow_start else 1 / self._allowed))
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
            self._tokens.take(self._clock(), counted - reserved)
            self._changed.set()

    def refused(self, headers: Mapping[str, str], *, started: float, retry_after: float | None) -> None:
        """Pause everything for as long as the server asked (429), or for a growing while if it did not say."""
        self._learn_limits(headers)
        if not retry_after:  # 0 would be asking again at once what was refused just now
            if started >= self._last_decrease:
                self._refusals_in_a_row += 1
            retry_after = min(30.0, _REFUSED_WAIT_S * 2.0 ** (self._refusals_in_a_row - 1))
        self._paused_until = max(self._paused_until, self._clock() + retry_after)
        self.slowed(started=started)

    def slowed(self, *, started: float) -> None:
        """Halve the concurrency after a refusal, a server error or a time-out, once for all that ran together."""
        if started < self._last_decrease:
            return
        self._slow_start = False
        self._last_decrease = self._clock()
        self._allowed = max(1.0, self._allowed / 2)

    def breaks(self, error: RagevalError) -> None:
        """End every request of this budget that has not been sent."""
        self.broken = error
        self._changed.set()

    async def _wait_for_turn(self) -> None:
        while True:
            if self.broken:
                raise self.broken
            self._changed.clear()
            if self.in_flight >= int(self._allowed):
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

    def _learn_limits(self, headers: Mapping[str, str]) -> None:
        limits = read_limits(headers)
        rpm_fixed, tpm_fixed = self._fixed
        if limits.requests_per_minute and not rpm_fixed:
            self._requests = self._tuned(self._requests, limits.requests_per_minute)
        if limits.tokens_per_minute and not tpm_fixed:
            self._tokens = self._tuned(self._tokens, limits.tokens_per_minute)

    def _tuned(self, pacer: Pacer | None, per_minute: float) -> Pacer:
        if pacer is None:
            return Pacer(per_minute)
        if pacer.per_minute != per_minute:
            pacer.retune(per_minute, self._clock())
            self._changed.set()
        return pacer
