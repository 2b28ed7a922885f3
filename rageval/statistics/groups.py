"""Values of two groups of questions, in clusters -> how far their means are apart, and how sure that is."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr


@dataclass(frozen=True, kw_only=True)
class GroupDifference:
    """The mean inside minus the mean outside of a group, in the unit of the values."""

    mean: float
    standard_error: float
    """More than 0."""
    p_value: float
    """Two-sided, in [0, 1]; not corrected for other comparisons."""
    n: int
    """Values inside."""
    clusters: int
    """Clusters with a value inside."""


def group_difference(values: ArrayLike, inside: ArrayLike, clusters: ArrayLike) -> GroupDifference | None:
    r"""Compare the mean of a group with that of the rest; several values may come from one cluster.

    With $ w_i = 1/n_1 $ inside and $ -1/n_0 $ outside, the difference is $ d = \sum_i w_i x_i $. Its standard error
    is the larger one of two, because either alone is too small where the group is:

    $$ \mathrm{SE}_1^2 = \frac{G}{G-1} \cdot \frac{n-1}{n-2} \sum_g \Bigl(\sum_{i \in g} w_i e_i\Bigr)^2, \qquad
       \mathrm{SE}_0^2 = n \, \widehat{\mathrm{Var}}(\bar x) \Bigl(\frac{1}{n_1} + \frac{1}{n_0}\Bigr) $$

    $ \mathrm{SE}_1 $ is the CR1 estimator of a regression on the group, with residuals $ e_i $ from the group's own
    mean. $ \mathrm{SE}_0 $ holds if the groups do not differ: it spreads the clustered variance of the common mean,
    as in `mean_interval`, over both. A group of ten answers that are all right has a variance of 0 of its own, and
    the second keeps it from being called different for that. The t distribution has as many degrees of freedom as
    the side with fewer clusters has clusters, minus 1.

    Args:
        values: Finite numbers, shape `(n,)`.
        inside: Whether each value belongs to the group, shape `(n,)`, bool.
        clusters: The cluster of each value, such as its document's id, shape `(n,)`. A cluster may have values on
            both sides.

    Returns:
        The difference, or None with fewer than 2 clusters on either side, or if the sums of all clusters are
        as expected, as when all values are equal: nothing is known about their spread then.

    Raises:
        ValueError: If the shapes differ or a value is not finite.

    Source:
        A. C. Cameron & D. L. Miller (2015), A Practitioner's Guide to Cluster-Robust Inference, Journal of Human
        Resources 50(2), section VI on few clusters and few treated ones.
    """
    x, group = np.asarray(values, dtype=np.float64), np.asarray(inside, dtype=np.bool_)
    labels = np.asarray(clusters)
    _check(x, group, labels)
    codes = np.unique(labels, return_inverse=True)[1]
    sides = [np.unique(codes[side]).size for side in (group, ~group)]
    if min(sides) < 2 or x.min() == x.max():
        return None
    difference = float(x[group].mean() - x[~group].mean())
    error = float(np.sqrt(max(_robust_variance(x, group, codes), _common_variance(x, group, codes))))
    if error == 0:
        return None
    p_value = 2 * float(stdtr(min(sides) - 1, -abs(difference) / error))
    return GroupDifference(
        mean=difference, standard_error=error, p_value=p_value, n=int(group.sum()), clusters=sides[0]
    )  # fmt: skip


def _robust_variance(x: NDArray[np.float64], group: NDArray[np.bool_], codes: NDArray[np.intp]) -> float:
    """Return the CR1 variance of the difference."""
    residuals = x - np.where(group, x[group].mean(), x[~group].mean())
    weights = np.where(group, 1 / group.sum(), -1 / (~group).sum())
    sums = np.bincount(codes, weights=weights * residuals)
    n, clusters = x.size, sums.size
    factor = clusters / (clusters - 1) * ((n - 1) / (n - 2) if n > 2 else 1.0)
    return float(factor * np.square(sums).sum())


def _common_variance(x: NDArray[np.float64], group: NDArray[np.bool_], codes: NDArray[np.intp]) -> float:
    """Return the variance of the difference if both sides have the same mean and spread."""
    sums = np.bincount(codes, weights=x - x.mean())
    a_value = sums.size / (sums.size - 1) * np.square(sums).sum() / x.size
    return float(a_value * (1 / group.sum() + 1 / (~group).sum()))


def _check(x: NDArray[np.float64], group: NDArray[np.bool_], labels: NDArray[Any]) -> None:
    if x.ndim != 1 or not x.shape == group.shape == labels.shape:
        raise ValueError(
            f"expected one group and one cluster per value, got shapes {x.shape}, {group.shape} and {labels.shape}"
        )
    if (bad := np.flatnonzero(~np.isfinite(x))).size:
        raise ValueError(f"expected finite values, but value {bad[0]} is {x[bad[0]]}; leave it out")
