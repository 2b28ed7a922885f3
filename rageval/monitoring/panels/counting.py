"""Counts -> shares with intervals, percentiles and kappa, as columns of SQL that SQLite and Postgres both know."""

from typing import Any, Final

import sqlalchemy as sa

from rageval.monitoring.buckets import upper_s

Number = sa.ColumnElement[Any]
Column = sa.Label[Any]

Z: Final = 1.959964
"""The quantile of the normal distribution that a 95 % interval takes."""


def ratio(part: Number, whole: Number) -> Number:
    """Return part / whole in floating point; null where the whole is 0."""
    return sa.cast(part, sa.Float) / sa.func.nullif(whole, 0)


def share_with_interval(part: Number, whole: Number, name: str = "share") -> list[Column]:
    r"""Return the columns `name`, `low`, `high`, `n` of a share with Wilson's 95 % interval; null where n is 0.

    $$ \frac{k + z^2 / 2 \pm z \sqrt{k (n - k) / n + z^2 / 4}}{n + z^2} $$

    Source:
        E. B. Wilson (1927), Probable Inference, JASA 22.
    """
    k, n = sa.cast(part, sa.Float), sa.func.nullif(whole, 0)
    margin = Z * sa.func.sqrt(k * (n - k) / n + Z**2 / 4)
    return [
        (k / n).label(name),
        ((k + Z**2 / 2 - margin) / (n + Z**2)).label("low"),
        ((k + Z**2 / 2 + margin) / (n + Z**2)).label("high"),
        sa.cast(whole, sa.Integer).label("n"),
    ]


def total(amounts: Number) -> Number:
    """Return the sum of whole numbers as one: Postgres would make a decimal of it."""
    return sa.cast(sa.func.sum(amounts), sa.BigInteger)


def percentiles(counts: Any, *keys: str, of: tuple[float, ...]) -> sa.Select[Any]:
    """Return percentiles of time from how many times each bucket was hit.

    Args:
        counts: Subquery with the keys, `bucket` and `n`: one row a bucket of each key.
        keys: Columns that a distribution each has.
        of: Such as 0.95, which becomes the column `p95`.

    Returns:
        Rows of the keys, `p...` in seconds (the upper ends of buckets: at most a tenth above the exact ones) and `n`.
    """
    partition = [counts.c[key] for key in keys] or None
    below = sa.func.sum(counts.c.n).over(partition_by=partition, order_by=counts.c.bucket)
    everything = sa.func.sum(counts.c.n).over(partition_by=partition)
    ranked = sa.select(counts, below.label("below"), everything.label("everything")).subquery()

    def reached(p: float) -> Number:
        return sa.func.min(ranked.c.bucket).filter(ranked.c.below >= p * ranked.c.everything)

    first, growth = upper_s(0), upper_s(1) / upper_s(0)
    return sa.select(
        *(ranked.c[key] for key in keys),
        *(sa.cast(first * sa.func.pow(growth, reached(p)), sa.Float).label(f"p{p * 100:g}") for p in of),
        total(ranked.c.n).label("n"),
    ).group_by(*(ranked.c[key] for key in keys))


def kappa(both: Number, first: Number, second: Number, n: Number) -> Number:
    r"""Return Cohen's kappa of two yes-or-no judgements; null where chance alone would agree on everything.

    $$ \kappa = \frac{2 (n \, n_{11} - n_{1 \cdot} n_{\cdot 1})}
       {n_{1 \cdot} (n - n_{\cdot 1}) + n_{\cdot 1} (n - n_{1 \cdot})} $$

    Args:
        both: Pairs with yes twice.
        first: Pairs with yes in the first judgement.
        second: Pairs with yes in the second one.
        n: Pairs.
    """
    return ratio(2 * (n * both - first * second), first * (n - second) + second * (n - first))
