"""Spans of time side by side, and the shares of what happened in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from scipy.special import ndtri

FIRST_MONDAY: Final = datetime(2000, 1, 3, tzinfo=UTC)
"""Where windows and the steps of dashboards begin, so that weeks begin on Mondays."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """A span of time: from its start up to, and without, its end."""

    start: datetime
    end: datetime

    def before(self, length: timedelta) -> "Window":
        """Return the time just before it."""
        return Window(start=self.start - length, end=self.start)

    def parts(self, length: timedelta) -> "list[Window]":
        """Return the windows of a length that it consists of, oldest first."""
        starts = [self.start + number * length for number in range((self.end - self.start) // length)]
        return [Window(start=start, end=start + length) for start in starts]


@dataclass(frozen=True, kw_only=True)
class Share:
    """How many of so many."""

    hits: int
    n: int

    @property
    def value(self) -> float | None:
        """The share, in [0, 1]; None of nothing."""
        return self.hits / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of Wilson, see `wilson`; None of nothing."""
        return wilson(self.hits, self.n) if self.n else None


def wilson(hits: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    r"""Return Wilson's score interval of a share.

    $$ \frac{p + \frac{z^2}{2n} \pm z \sqrt{\frac{p (1 - p)}{n} + \frac{z^2}{4 n^2}}}{1 + \frac{z^2}{n}} $$

    Args:
        hits: 0 to n.
        n: Independent yes-or-no values, at least 1.
        confidence: Coverage, in (0, 1).

    Raises:
        ValueError: If there are no values, or more hits than values.

    Source:
        E. B. Wilson (1927), Probable Inference, JASA 22.
    """
    if not 0 <= hits <= n or not n:
        raise ValueError(f"expected 0 to n hits of at least one value, got {hits} of {n}")
    z, p = float(ndtri((1 + confidence) / 2)), hits / n
    centre, margin = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (centre - margin) / (1 + z**2 / n), (centre + margin) / (1 + z**2 / n)
    return (low if hits else 0.0), (1.0 if hits == n else high)


def complete_windows(now: datetime, length: timedelta, since: datetime) -> Sequence[Window]:
    """Return the windows of a length that are over, oldest first.

    They lie side by side from a Monday on, in UTC: whoever looks, and whenever, finds the same ones, and a window is
    looked at as a whole. Days begin at midnight UTC, weeks on Mondays.

    Args:
        now: With its zone; the window that it lies in is not over.
        length: Above 0.
        since: Windows that begin before it are left out.
    """
    last, first = (now - FIRST_MONDAY) // length, -((FIRST_MONDAY - since) // length)
    return [
        Window(start=FIRST_MONDAY + number * length, end=FIRST_MONDAY + (number + 1) * length)
        for number in range(first, last)
    ]
