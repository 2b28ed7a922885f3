"""A reply that is far later than usual: when its request is sent once more, and which reply counts."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

_HEDGE_AFTER_REPLIES = 20
_HEDGED_SHARE = 0.02
_LATE_FACTOR = 5.0
_EARLIEST_HEDGE_S = 0.25
_Result = TypeVar("_Result")


@dataclass(kw_only=True)
class Hedging:
    """When a reply is so late that its request is sent once more, at most for one request in fifty."""

    requests: int = 0
    sent: int = 0
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=100))

    def late_after_s(self) -> float | None:
        """Return the seconds after which a reply is late: five times the recent median; None for never."""
        if len(self.latencies_s) < _HEDGE_AFTER_REPLIES or self.sent >= 1 + self.requests * _HEDGED_SHARE:
            return None
        return max(_EARLIEST_HEDGE_S, _LATE_FACTOR * median(self.latencies_s))


async def first_good(tasks: set["asyncio.Task[_Result]"]) -> _Result:
    """Return the result of the first task that has one, or raise the error of the last to fail."""
    running = set(tasks)
    while True:
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task.exception() is None or not (running or len(done) > 1):
                return task.result()
        if not running:
            return done.pop().result()
