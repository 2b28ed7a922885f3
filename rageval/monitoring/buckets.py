"""Seconds -> numbered buckets, each a tenth longer than the one before, so that SQL can take percentiles of a million.

A percentile read off the buckets is at most a tenth above the exact one.
"""

import math
from collections.abc import Mapping

_FIRST_S = 0.001
_GROWTH = 1.1
LAST = 140
"""The bucket of everything above ten minutes."""


def bucket(seconds: float) -> int:
    """Return the number of the bucket, 0 to `LAST`, that holds so many seconds."""
    if seconds <= _FIRST_S:
        return 0
    return min(LAST, math.ceil(math.log(seconds / _FIRST_S, _GROWTH) - 1e-9))


def upper_s(number: int) -> float:
    """Return the longest time of a bucket, in seconds."""
    return _FIRST_S * _GROWTH**number


def quantile(counts: Mapping[int, int], q: float) -> float | None:
    """Return the time that a share `q` of the values stays within, in seconds; None of nothing.

    Args:
        counts: How many values lie in each bucket.
        q: In [0, 1].
    """
    needed, below = q * sum(counts.values()), 0
    for number in sorted(counts):
        below += counts[number]
        if below >= needed:
            return upper_s(number)
    return None
