"""The influence of each value on a statistic -> the statistic's standard error and interval, in clusters.

A statistic that is no mean (kappa, the area under a curve, a corrected share) is, for its error, the mean of its
influences: how far one value more of that kind would move it, times n. The same few lines then serve all of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit


@dataclass(frozen=True, kw_only=True)
class MeanEstimate:
    """A statistic and how sure it is."""

    value: float
    low: float | None
    """Lower end of the interval; None with fewer than 2 clusters, or where the data show no variance at all."""
    high: float | None
    """Upper end of the interval; None where `low` is."""
    standard_error: float | None
    """Cluster-robust standard error, above 0; None where `low` is."""
    n: int
    """Values (or pairs of values) that it was computed from."""
    clusters: int
    """Clusters that these belong to."""


def estimate(
    value: float,
    influences: NDArray[np.float64],
    clusters: ArrayLike,
    *,
    n: int,
    centre: float | None = None,
    added_variance: float = 0.0,
    within: tuple[float, float] = (-np.inf, np.inf),
    degrees_of_freedom: int | None = None,
    confidence: float = 0.95,
) -> MeanEstimate:
    r"""Return a statistic with its cluster-robust interval.

    $$ \widehat{\mathrm{Var}}(\hat\theta) = \frac{G}{G-1} \sum_{g=1}^{G} \Bigl( \sum_{i \in g} \psi_i \Bigr)^2 + v,
       \qquad \hat\theta \pm t_{G-1} \sqrt{\widehat{\mathrm{Var}}(\hat\theta)} $$

    With the influences of a mean, \(\psi_i = (x_i - \bar x) / n\), this is `mean_interval` without bounds.

    Args:
        value: The statistic.
        influences: What each value adds to the statistic's error, in units of the statistic; they sum to about 0. Shape
            `(m,)`.
        clusters: The cluster of each of them, shape `(m,)`.
        n: The number of values to report.
        centre: Of the interval, where that is not the statistic itself; the interval holds the statistic in any case.
        added_variance: Variance v that the data do not show, at least 0.
        within: The interval is cut to these ends; the statistic itself is not.
        degrees_of_freedom: Of the t quantile; one less than the number of clusters unless given.
        confidence: Coverage, in (0, 1).

    Raises:
        ValueError: If the shapes differ or `confidence` is out of range.

    Source:
        R. J. Serfling (1980), Approximation Theorems of Mathematical Statistics, chapter 6, for influence functions;
        A. C. Cameron & D. L. Miller (2015), A Practitioner's Guide to Cluster-Robust Inference, Journal of Human
        Resources 50(2), for the factor and the t quantile.
    """
    labels = np.asarray(clusters)
    if influences.ndim != 1 or influences.shape != labels.shape:
        raise ValueError(f"expected one cluster per value, got shapes {influences.shape} and {labels.shape}")
    if not 0 < confidence < 1:
        raise ValueError(f"expected a confidence between 0 and 1, got {confidence}")
    codes = np.unique(labels, return_inverse=True)[1]
    groups = int(codes.max(initial=-1)) + 1
    unknown = MeanEstimate(value=value, low=None, high=None, standard_error=None, n=n, clusters=groups)
    if groups < 2:
        return unknown
    sums = np.bincount(codes, weights=influences, minlength=groups)
    error = float(np.sqrt(groups / (groups - 1) * np.square(sums).sum() + added_variance))
    if error < 1e-12:
        return unknown
    middle = value if centre is None else centre
    margin = float(stdtrit(degrees_of_freedom or groups - 1, (1 + confidence) / 2)) * error
    return MeanEstimate(
        value=value,
        low=max(min(middle - margin, value), within[0]),
        high=min(max(middle + margin, value), within[1]),
        standard_error=error,
        n=n,
        clusters=groups,
    )
