"""Two spans of time -> whether what is asked, or how well it is found, has changed: by a test, not by a feeling.

A verdict needs both: a difference that chance alone would rarely give, and enough questions to tell. The tests take
questions as independent of each other; somebody who asks the same thing ten times makes them a little too quick.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from rageval.statistics.multiplicity import holm_of_known

DriftVerdict = Literal["changed", "no evidence", "too few"]

OTHERS: Final = "others"
_FEWEST_EXPECTED: Final = 5.0
"""Questions of a topic that either time has to expect, for the chi-square distribution to hold (Cochran)."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How a time differs from its reference in one respect."""

    subject: str
    """What was compared: `topics`, `languages` or `retrieval scores`."""
    effect: float | None
    """How large the difference is, in [0, 1]: the share of the questions that would have to be others (topics,
    languages), or the largest distance between the two distributions (scores). None where there is nothing."""
    p_value: float | None
    """Adjusted once `correct` has seen it; None where nothing was tested."""
    n_reference: int
    n: int
    verdict: DriftVerdict = "too few"
    note: str = ""
    """What has changed most, in words."""


def share_drift(
    subject: str,
    reference: Mapping[str, int],
    current: Mapping[str, int],
    *,
    minimum: int,
    names: Mapping[str, str] = MappingProxyType({}),
) -> Drift:
    r"""Return whether the shares of labels have changed: Pearson's chi-square test of homogeneity.

    Labels that either time would expect fewer than 5 times, were nothing changed, are counted as one, because the
    chi-square distribution does not hold for them. The effect is the total variation distance
    \(\frac{1}{2} \sum_i |p_i - q_i|\) of all labels: the share of the questions that would have to be about something
    else. It is never 0 by chance alone, and the larger the fewer questions there are; the test knows that.

    Args:
        subject: What the labels are.
        reference: How often each label came up before.
        current: How often it came up now.
        minimum: Fewest questions in either time; below it nothing is tested.
        names: What labels are called in words, where that is something else.

    Returns:
        The drift, its p-value not adjusted and its verdict open (`no evidence`, or `too few`).

    Source:
        W. G. Cochran (1954), Some Methods for Strengthening the Common Chi-Square Tests, Biometrics 10(4).
    """
    labels = sorted({*reference, *current})
    counts = np.array([[time.get(label, 0) for label in labels] for time in (reference, current)], dtype=np.float64)
    sizes = counts.sum(axis=1) if labels else np.zeros(2)
    drift = Drift(subject=subject, effect=None, p_value=None, n_reference=int(sizes[0]), n=int(sizes[1]))
    if not sizes.all():
        return drift
    before, now = counts / sizes[:, None]
    most = int(np.abs(now - before).argmax())
    drift = replace(
        drift,
        effect=float(np.abs(now - before).sum() / 2),
        note=f"{names.get(labels[most], labels[most])}: {before[most]:.0%} -> {now[most]:.0%}",
    )
    if sizes.min() < minimum:
        return drift
    from scipy.stats import chi2_contingency  # noqa: PLC0415 - slow to import, and not every command tests

    table = _pooled(counts)
    # All questions about one and the same thing, before and now: nothing can have changed.
    p = float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0
    return replace(drift, p_value=p, verdict="no evidence")


def score_drift(subject: str, reference: ArrayLike, current: ArrayLike, *, minimum: int) -> Drift:
    """Return whether a number is distributed otherwise than before: the two-sample Kolmogorov-Smirnov test.

    It sees any change of the distribution, of its middle or of its spread. The effect is its statistic D, the largest
    distance between the two distribution functions.

    Args:
        subject: What the numbers are.
        reference: The numbers before; finite, shape `(m,)`.
        current: The numbers now; finite, shape `(n,)`.
        minimum: Fewest numbers in either time; below it nothing is tested.

    Returns:
        The drift, its p-value not adjusted and its verdict open.

    Source:
        J. L. Hodges (1958), The Significance Probability of the Smirnov Two-Sample Test, Arkiv foer Matematik 3(43).
    """
    before, now = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    drift = Drift(subject=subject, effect=None, p_value=None, n_reference=before.size, n=now.size)
    if not before.size or not now.size:
        return drift
    from scipy.stats import ks_2samp  # noqa: PLC0415 - see above

    found = ks_2samp(before, now)
    note = f"median {np.median(before):.3f} -> {np.median(now):.3f}"
    drift = replace(drift, effect=float(found.statistic), note=note)
    if min(before.size, now.size) < minimum:
        return drift
    return replace(drift, p_value=float(found.pvalue), verdict="no evidence")


def correct(drifts: Sequence[Drift], significance: float) -> list[Drift]:
    """Return drifts that are read together with adjusted p-values, by Holm's method, and their verdicts.

    Args:
        drifts: All that were tested of one window.
        significance: The chance that any of them is called changed though nothing has, in (0, 1).
    """
    adjusted = holm_of_known([drift.p_value for drift in drifts])
    return [
        replace(drift, p_value=p, verdict="too few" if p is None else "changed" if p < significance else "no evidence")
        for drift, p in zip(drifts, adjusted, strict=True)
    ]


def _pooled(
    counts: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return a table of two rows with its rare columns made one; if that is still rare, it joins the next rarest."""
    columns = counts[:, np.argsort(counts.sum(axis=0), kind="stable")]
    smaller_share = columns.sum(axis=1).min() / columns.sum()
    totals = columns.sum(axis=0).cumsum()
    rare = int((columns.sum(axis=0) * smaller_share < _FEWEST_EXPECTED).sum())
    while 0 < rare < columns.shape[1] and totals[rare - 1] * smaller_share < _FEWEST_EXPECTED:
        rare += 1
    if rare < 2:
        return columns
    return np.column_stack([columns[:, :rare].sum(axis=1), columns[:, rare:]])
