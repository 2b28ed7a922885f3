"""The p-values of many tests -> p-values that may be read together."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    r"""Return the p-values adjusted by Holm's step-down method, in the order given.

    $$ \tilde p_{(i)} = \max_{j \le i} \min\bigl(1, (m - j + 1) \, p_{(j)}\bigr) $$

    Calling every difference with an adjusted p-value below 0.05 real keeps the chance of even one false alarm among
    all m tests below 5 %, however the tests depend on each other.

    Args:
        p_values: Shape `(m,)`, each in [0, 1]; may be empty.

    Returns:
        Shape `(m,)`, each in [0, 1] and at least the p-value it was made from.

    Raises:
        ValueError: If a p-value is not in [0, 1], NaN included.

    Source:
        S. Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure, Scandinavian Journal of Statistics 6.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"expected a list of p-values from 0 to 1, got {p_values!r}")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, (p.size - np.arange(p.size)) * p[order])
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped)
    return adjusted


def holm_of_known(p_values: Iterable[float | None]) -> list[float | None]:
    """Return p-values adjusted by `holm`; None, where there was no test, stays None and counts in no correction."""
    given = list(p_values)
    adjusted = iter(holm([p for p in given if p is not None]))
    return [None if p is None else float(next(adjusted)) for p in given]
