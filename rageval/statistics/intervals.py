"""Values in clusters -> their mean with a confidence interval that knows about the clusters.

Questions made from the same document share its difficulty, its wording and its place in the index, so they
count for less than as many independent ones.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean and how sure it is, in the unit of the values."""

    mean: float
    low: float
    """Lower bound; not clipped to the range of the values."""
    high: float
    """Upper bound; not clipped to the range of the values."""
    standard_error: float
    """Cluster-robust standard error of the mean, at least 0."""
    n: int
    """Number of values."""
    clusters: int
    """Number of clusters, at least 2."""


def mean_interval(values: ArrayLike, clusters: ArrayLike, confidence: float = 0.95) -> Interval | None:
    r"""Return the mean with its cluster-robust confidence interval.

    $$ \widehat{\mathrm{Var}}(\bar x) = \frac{G}{G-1} \cdot
       \frac{\sum_{g=1}^{G} \bigl(\sum_{i \in g} (x_i - \bar x)\bigr)^2}{n^2}, \qquad
       \bar x \pm t_{G-1} \sqrt{\widehat{\mathrm{Var}}(\bar x)} $$

    With one value per cluster this is the ordinary t interval. In general it is the CR1 estimator for a
    regression on a constant: its second factor (n - 1)/(n - k) is 1 because k = 1.

    The interval is not clipped, and it has width 0 if the residuals of every cluster sum to 0, as they do when
    all values are equal: that says nothing about values not seen. It is too narrow for very few clusters.

    Args:
        values: Finite numbers, shape `(n,)`.
        clusters: The cluster of each value, such as its document's id, shape `(n,)`.
        confidence: Coverage, in (0, 1).

    Returns:
        The interval, or None with fewer than 2 clusters: nothing is known about the variance between them.

    Raises:
        ValueError: If the shapes differ, a value is not finite, or `confidence` is out of range.

    Source:
        E. Miller (2024), Adding Error Bars to Evals, arXiv:2411.00640, for clustering by document, with the
        small-sample factor and t quantile of A. C. Cameron & D. L. Miller (2015), A Practitioner's Guide to
        Cluster-Robust Inference, Journal of Human Resources 50(2).
    """
    x, labels = np.asarray(values, dtype=np.float64), np.asarray(clusters)
    _check(x, labels, confidence)
    codes = np.unique(labels, return_inverse=True)[1]
    groups = int(codes.max(initial=-1)) + 1
    if groups < 2:
        return None
    mean = float(x.mean())
    sums = np.bincount(codes, weights=x - mean, minlength=groups)
    error = float(np.sqrt(groups / (groups - 1) * np.square(sums).sum())) / x.size
    margin = float(stdtrit(groups - 1, (1 + confidence) / 2)) * error
    return Interval(mean=mean, low=mean - margin, high=mean + margin, standard_error=error, n=x.size, clusters=groups)


def _check(values: NDArray[np.float64], clusters: NDArray[Any], confidence: float) -> None:
    if values.ndim != 1 or values.shape != clusters.shape:
        raise ValueError(f"expected one cluster per value, got shapes {values.shape} and {clusters.shape}")
    if (bad := np.flatnonzero(~np.isfinite(values))).size:
        raise ValueError(f"expected finite values, but value {bad[0]} is {values[bad[0]]}; leave it out")
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
