"""Two values per question -> how much they differ on average, how sure that is, and what could have been seen."""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, stdtr, stdtrit

from rageval.statistics.intervals import mean_interval

POWER: Final = 0.8
TIE: Final = 1e-9
"""Values closer than this are equal: what lies between them is rounding."""
FEW: Final = 50
"""Clusters that differ below which the t test alone is not trusted."""
ALL_FLIPS: Final = 14
"""Clusters that differ up to which every way of flipping their signs is tried."""
FLIPS: Final = 19_999
"""Random ways of flipping the signs of more clusters."""
FEWEST_DIFFERING: Final = 6
"""Clusters that must differ for p < 0.05: all in the same direction, 5 of them have p = 2 / 2^5 = 0.0625."""


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """The mean of a - b over questions, in the unit of the values."""

    mean: float
    low: float
    """Lower end of the interval of the mean, not clipped."""
    high: float
    """Upper end of the interval of the mean, not clipped."""
    standard_error: float
    """Cluster-robust standard error of the mean, at least 0."""
    p_value: float
    """Two-sided, not adjusted for other tests, in [0, 1]."""
    effect_size: float | None
    """Mean over standard deviation of the differences (Cohen's dz); None if all differences are equal."""
    smallest_detectable: float
    """True difference that such a question set finds (p < 0.05) with a power of 80 %, at least 0."""
    better: int
    """Questions with a > b."""
    worse: int
    """Questions with a < b."""
    tied: int
    """Questions with equal values."""
    n: int
    """Number of questions."""
    clusters: int
    """Number of clusters, at least 2."""


def paired_difference(
    a: ArrayLike, b: ArrayLike, clusters: ArrayLike, confidence: float = 0.95
) -> PairedDifference | None:
    r"""Return the mean of a - b over the same questions, with its interval and its test against 0.

    Standard error SE and interval are those of `mean_interval` for the differences d = a - b, without bounds: what
    both sides find hard cancels out, so a paired interval is mostly much narrower than either mean's own. With G
    clusters, of which G' have differences that do not sum to 0:

    $$ t = \frac{\bar d}{SE}, \qquad p = 2 \, P(T_{G-1} \ge |t|), \qquad d_z = \frac{\bar d}{s_d}, \qquad
       \mathrm{smallest} = (t_{G-1;\,0.975} + t_{G-1;\,0.8}) \, SE $$

    The t test raises too many false alarms where few clusters differ: when 5 of 1,000 questions differ, all in
    the same direction, its p is 0.025, that of the exact test 0.06. For G' < 50 the p-value is therefore the larger
    one of the t test's and of a sign-flip test: the share of all ways to flip the signs of whole clusters for which
    |t| is at least as large as it is (all ways up to G' = 14, else 19,999 drawn with a fixed seed, counting the
    observed one). If a and b are alike, every way is as likely, so that this test is exact for any number of
    clusters; with one yes-or-no value per cluster it is McNemar's exact test. It is also the wild cluster bootstrap
    with Rademacher weights for a mean of 0.

    Where SE is 0, p is 1 if the differences are all 0, else 2^(1-G), which is the sign-flip test's. The interval then
    has width 0, which says nothing about questions not seen. Where fewer than 6 clusters differ, no test can reach
    p < 0.05, and SE understates what could have been missed; the smallest difference is then at least the share q
    of clusters that must differ by 1, all in the same direction, for 6 of G to do so with a probability of 80 %
    (about 7.9 / G; 1 for fewer than 6 clusters).

    Args:
        a: Finite numbers, shape `(n,)`.
        b: Finite numbers for the same questions in the same order, shape `(n,)`. Values closer than 1e-9 are equal.
        clusters: The cluster of each question, such as its document's id, shape `(n,)`.
        confidence: Coverage of the interval, in (0, 1).

    Returns:
        The difference, or None with fewer than 2 clusters. Swapping a and b changes nothing but signs; names and
        order of the clusters do not matter.

    Raises:
        ValueError: If the shapes differ, a value is not finite, or `confidence` is out of range.

    Source:
        E. Miller (2024), Adding Error Bars to Evals, arXiv:2411.00640, for pairing and power; A. C. Cameron,
        J. B. Gelbach & D. L. Miller (2008), Bootstrap-Based Improvements for Inference with Clustered Errors, Review
        of Economics and Statistics 90(3), for few clusters; J. Cohen (1988), Statistical Power Analysis, for dz.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise ValueError(f"expected a value of a and of b per question, got shapes {first.shape} and {second.shape}")
    d = first - second
    d[np.abs(d) <= TIE] = 0.0
    interval = mean_interval(d, clusters, confidence)
    if interval is None:
        return None
    codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
    sums = np.bincount(codes, weights=d).astype(np.float64)
    sizes = np.bincount(codes).astype(np.float64)
    sums[np.abs(sums) <= TIE] = 0.0
    spread = float(d.std(ddof=1))
    return PairedDifference(
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        standard_error=interval.standard_error,
        p_value=_p_value(interval.mean, interval.standard_error, sums, sizes),
        effect_size=interval.mean / spread if spread > TIE else None,
        smallest_detectable=_smallest_detectable(interval.standard_error, sums),
        better=int((d > 0).sum()),
        worse=int((d < 0).sum()),
        tied=int((d == 0).sum()),
        n=interval.n,
        clusters=interval.clusters,
    )


def _p_value(mean: float, error: float, sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    differing = int(np.count_nonzero(sums))
    if not differing:
        return 1.0
    if error <= TIE * abs(mean):
        return 2.0 ** (1 - sums.size)
    p = 2 * float(stdtr(sums.size - 1, -abs(mean) / error))
    return max(p, _sign_flip_p_value(sums, sizes)) if differing < FEW else p


def _sign_flip_p_value(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """Return the share of sign flips of the clusters' sums with a |t| at least as large as the observed one.

    |t| grows with sum(S)^2 / sum((S_g - n_g d)^2), d = sum(S) / n, for the same G.
    """
    nonzero = sums != 0
    order = np.lexsort((sizes[nonzero], np.abs(sums[nonzero])))  # the same draws whatever the clusters are called
    s, n = np.abs(sums[nonzero])[order], sizes[nonzero][order]
    signs = _signs(s.size)
    observed = _squared_t(np.array([sums.sum()]), np.array([sums @ sizes]), s, sizes)[0]
    flipped = _squared_t(signs @ s, signs @ (s * n), s, sizes)
    extreme = int((flipped >= observed * (1 - TIE)).sum())
    return extreme / len(signs) if s.size <= ALL_FLIPS else (extreme + 1) / (len(signs) + 1)


def _squared_t(
    total: NDArray[np.float64], weighted: NDArray[np.float64], sums: NDArray[np.float64], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return t^2 up to a constant factor, from sum(S_g), sum(S_g n_g), the S_g (up to signs) and all n_g."""
    mean = total / sizes.sum()
    squares = np.square(sums).sum() - 2 * mean * weighted + mean**2 * np.square(sizes).sum()
    # Where every cluster has the same mean there is no spread left but rounding: t is infinite.
    with np.errstate(divide="ignore"):
        found: NDArray[np.float64] = total**2 / np.where(squares > TIE * np.square(sums).sum(), squares, 0.0)
    return found


def _signs(n: int) -> NDArray[np.float64]:
    """Return ways to flip n signs, shape `(ways, n)`: each way up to reversal of all if n is small."""
    if n > ALL_FLIPS:
        return _drawn_signs()[:, :n]
    ways = np.arange(2 ** (n - 1))[:, None] >> np.arange(n)
    return np.where(ways & 1, -1.0, 1.0)


@cache
def _drawn_signs() -> NDArray[np.float64]:
    """Return the same random signs every time, shape `(FLIPS, FEW)`; drawing them takes longer than all the rest."""
    return np.random.default_rng(0).choice(np.array([-1.0, 1.0]), size=(FLIPS, FEW))


def _smallest_detectable(error: float, sums: NDArray[np.float64]) -> float:
    groups, differing = sums.size, int(np.count_nonzero(sums))
    by_error = float(stdtrit(groups - 1, 0.975) + stdtrit(groups - 1, POWER)) * error
    if differing >= FEWEST_DIFFERING:
        return by_error
    if groups < FEWEST_DIFFERING:
        return max(by_error, 1.0)
    # P(at least 6 of G) = I_q(6, G - 5), the regularised incomplete beta function.
    return max(by_error, float(betaincinv(FEWEST_DIFFERING, groups - FEWEST_DIFFERING + 1, POWER)))
