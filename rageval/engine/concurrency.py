"""How many requests may be in flight: grows while replies are good and quick, shrinks when they are not."""

PROBES = 4
START = 16
_FAULT_SHARE = 0.25
_WEIGHT = 0.1
_NO_GROWTH_ABOVE = 2.0
_SLOW_ABOVE = 5.0
_BASELINE_DRIFT = 1.002


class AdaptiveConcurrency:
    """A limit that feels its way, as congestion control does (slow start, additive increase, halving).

    It halves at a refusal, when a quarter of the recent requests met a fault, and when replies take five times as
    long as they used to; once for all requests that ran together. It does not grow while replies take twice as
    long as they used to: more at once would only wait at the server. Times are seconds of any one clock.

    Args:
        ceiling: The most that is ever allowed, at least 1.
    """

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._allowed = float(min(START, ceiling))
        self._probing = True
        self._slow_start = True
        self._last_decrease = float("-inf")
        self._fault_share = 0.0
        self._latency_s = 0.0
        self._usual_latency_s = 0.0

    @property
    def allowed(self) -> int:
        """The requests that may be in flight now, from 1 to the ceiling; few until the first reply is there."""
        return min(PROBES, int(self._allowed)) if self._probing else int(self._allowed)

    def succeeded(self, now: float, *, started: float, in_flight: int) -> None:
        """Learn from a good reply to a request that was sent at `started`, with so many in flight."""
        self._probing = False
        self._fault_share *= 1 - _WEIGHT
        self._learn_latency(now - started)
        if started < self._last_decrease:
            return
        if self._latency_s > _SLOW_ABOVE * self._usual_latency_s:
            self.halve(now, started=started)
        elif in_flight >= self.allowed and self._latency_s <= _NO_GROWTH_ABOVE * self._usual_latency_s:
            step = 1.0 if self._slow_start else 1.0 / self._allowed
            self._allowed = min(float(self._ceiling), self._allowed + step)

    def failed(self, now: float, *, started: float) -> None:
        """Learn from a server error, a lost connection or a time-out; a single one is no reason to slow down."""
        self._probing = False
        self._fault_share += _WEIGHT * (1 - self._fault_share)
        if self._fault_share > _FAULT_SHARE:
            self.halve(now, started=started)

    def halve(self, now: float, *, started: float) -> None:
        """Halve the limit, unless it was halved after this request had been sent."""
        self._probing = False
        if started < self._last_decrease:
            return
        self._slow_start = False
        self._last_decrease = now
        self._fault_share = 0.0
        self._allowed = max(1.0, self._allowed / 2)

    def _learn_latency(self, latency_s: float) -> None:
        if not self._latency_s:
            self._latency_s = self._usual_latency_s = latency_s
        self._latency_s += _WEIGHT * (latency_s - self._latency_s)
        self._usual_latency_s = min(self._latency_s, self._usual_latency_s * _BASELINE_DRIFT)
