"""When may the next request be sent: a pacer for one rate, and the reading of a server's limit headers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WAIT_IN_BODY = re.compile(r"(?:\bretry in |\btry again in |\"retryDelay\": ?\")((?:\d+(?:\.\d+)?(?:ms|s|m|h))+)")
_LONGEST_BURST_S = 0.7
_SAFE_SHARE = 0.65
_LONGEST_WINDOW_S = 600.0
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


class Pacer:
    """Spread an amount a minute evenly over time (generic cell rate algorithm, ITU-T I.371).

    Nothing is saved up beyond `burst_s` seconds, so a server that enforces its limit second by second is
    never asked for more than it gives. Times are seconds of any one clock.
    """

    def __init__(self, per_minute: float, burst_s: float = 0.2) -> None:
        if not per_minute > 0:
            raise ValueError(f"per_minute is {per_minute}; expected more than 0")
        self.per_minute = per_minute
        self.taken = 0.0
        """All that was ever taken; what was given back counts as taken."""
        self._burst_s = burst_s
        self._free_at = float("-inf")

    def delay(self, now: float) -> float:
        """Return the seconds from `now` until the next amount may be taken; 0 if it may be now."""
        return max(0.0, self._free_at - self._burst_s - now)

    def take(self, now: float, amount: float) -> None:
        """Take the amount."""
        self.taken += amount
        self._free_at = max(self._free_at, now) + amount * 60.0 / self.per_minute

    def correct(self, now: float, amount: float) -> None:
        """Take what had been taken too little, or give back (negative) what had been too much."""
        self._free_at = max(self._free_at, now) + amount * 60.0 / self.per_minute

    def mirror(self, now: float, limit: "ServerLimit", *, sent: float, taken: float) -> None:
        """Learn from a reply how full the server's own bucket is: it may count less than was taken here.

        Args:
            now: The time.
            limit: What the reply's headers say; ignored unless it is about the same rate.
            sent: When the request of that reply was sent.
            taken: The value of `taken` at that time. What was taken since may be missing in the headers.
        """
        if limit.debt_s is None or limit.capacity_s is None:
            return
        if abs(limit.per_minute - self.per_minute) > 0.01 * self.per_minute:
            return
        self._burst_s = min(_LONGEST_BURST_S, _SAFE_SHARE * limit.capacity_s)
        debt_s = max(0.0, limit.debt_s - (now - sent)) + (self.taken - taken) * 60.0 / self.per_minute
        self._free_at = min(self._free_at, now + debt_s)

    def retune(self, per_minute: float, now: float) -> None:
        """Change the rate; the debt that is still open is paid at the new one."""
        debt = max(0.0, self._free_at - now)
        self._free_at = now + debt * self.per_minute / per_minute
        self.per_minute = per_minute


@dataclass(frozen=True, kw_only=True)
class ServerLimit:
    """What a reply's headers say of one limit, seen as a bucket that refills continuously.

    Attributes:
        per_minute: The rate.
        debt_s: Seconds until the bucket is full again; None if the server does not say.
        capacity_s: Seconds that an empty bucket takes to fill; None if the server does not say.
    """

    per_minute: float
    debt_s: float | None = None
    capacity_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class ServerLimits:
    """What a reply's headers say of the limits; None where they say nothing usable."""

    requests: ServerLimit | None = None
    tokens: ServerLimit | None = None


def read_duration(text: str | None) -> float | None:
    """Return the seconds of a duration as in `x-ratelimit-reset-*`: `20ms`, `1.5s`, `6m0s`; None if it is none."""
    if not text:
        return None
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def read_limits(headers: Mapping[str, str]) -> ServerLimits:
    """Return the limits a minute from `x-ratelimit-*` headers.

    A limit whose bucket needs more than ten minutes to refill is one a day: no pace can be read from it.
    """
    return ServerLimits(requests=_limit(headers, "requests"), tokens=_limit(headers, "tokens"))


def retry_after_s(headers: Mapping[str, str], body: str, now: datetime) -> float | None:
    """Return the seconds a refusal asks to wait; None if it does not say.

    Args:
        headers: Of the refusal: `retry-after-ms`, or `retry-after` as seconds, as a duration or as an HTTP date (RFC
            9110, 10.2.3). A date is held against the server's own clock in `date`, where it is there.
        body: Of the refusal, for servers that say it there alone: `"retryDelay": "34s"`, `try again in 1m2.5s`.
        now: The time, with its zone.
    """
    seconds = _seconds(headers.get("retry-after-ms"), 0.001)
    if seconds is None:
        text = headers.get("retry-after")
        seconds = _seconds(text, 1.0)
        if seconds is None:
            seconds = read_duration(text)
        if seconds is None and (until := _date(text)):
            seconds = max(0.0, (until - (_date(headers.get("date")) or now)).total_seconds())
    if seconds is None and (written := _WAIT_IN_BODY.search(body)):
        seconds = read_duration(written[1])
    return seconds


def _seconds(text: str | None, unit: float) -> float | None:
    try:
        seconds = float(text or "") * unit
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _limit(headers: Mapping[str, str], kind: str) -> ServerLimit | None:
    try:
        limit = float(headers[f"x-ratelimit-limit-{kind}"])
        remaining = float(headers.get(f"x-ratelimit-remaining-{kind}", "nan"))
    except (KeyError, ValueError):
        return None
    if not 0 < limit < float("inf"):
        return None
    reset_s = read_duration(headers.get(f"x-ratelimit-reset-{kind}"))
    if reset_s is None or not 0 <= remaining <= limit:
        return ServerLimit(per_minute=limit)
    if remaining < limit and reset_s * limit / (limit - remaining) > _LONGEST_WINDOW_S:
        return None
    return ServerLimit(per_minute=limit, debt_s=reset_s, capacity_s=remaining * 60.0 / limit + reset_s)
