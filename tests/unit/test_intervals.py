"""The clustered interval against hand arithmetic, scipy and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from rageval.statistics.intervals import mean_interval


def test_three_small_clusters_by_hand():
    # x = 1, 0 | 1, 1 | 0, 0 has mean 1/2; the clusters' residual sums are 0, 1, -1.
    # Var = 3/2 * (0 + 1 + 1) / 6^2 = 1/12; t(0.975, 2) = 4.302652729911275 (any printed t table: 4.303).
    interval = mean_interval([1, 0, 1, 1, 0, 0], ["a", "a", "b", "b", "c", "c"])
    assert interval is not None
    assert (interval.mean, interval.n, interval.clusters) == (0.5, 6, 3)
    assert interval.standard_error == pytest.approx(12**-0.5)
    assert interval.low == pytest.approx(0.5 - 4.302652729911275 * 12**-0.5)
    assert interval.high == pytest.approx(0.5 + 4.302652729911275 * 12**-0.5)
    assert interval.low < 0  # not clipped to the range of the values
    assert interval.high > 1


def test_one_value_per_cluster_is_the_ordinary_t_interval():
    x = np.random.default_rng(3).beta(8, 2, size=40)
    interval = mean_interval(x, range(40), confidence=0.9)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(stats.ttest_1samp(x, 0).confidence_interval(0.9))


def test_an_interval_without_bounds_is_cut_at_the_lowest_value_that_there_is():
    # x = 0, 0, 30 has mean 10 and the standard error 10; t(0.975, 2) = 4.302652729911275, so it reaches to -33.
    whole, cut = mean_interval([0, 0, 30], range(3)), mean_interval([0, 0, 30], range(3), lowest=0)
    assert whole is not None
    assert cut is not None
    assert whole.low == pytest.approx(10 - 43.02652729911275)
    assert (cut.low, cut.high, cut.standard_error) == (0, whole.high, whole.standard_error)
    with pytest.raises(ValueError, match=r"at least 1, but the lowest is 0\.0"):
        mean_interval([0, 0, 30], range(3), lowest=1)


@pytest.mark.parametrize("groups", [2, 7, 60])
def test_it_agrees_with_statsmodels(groups):
    # statsmodels' default small-sample correction, G/(G-1) * (n-1)/(n-k), with its t distribution of G-1
    # degrees of freedom: for a constant alone k is 1, and the second factor with it.
    random = np.random.default_rng(groups)
    clusters = np.concatenate([np.arange(groups), random.integers(0, groups, size=200)])
    x = random.normal(size=groups)[clusters] + random.normal(size=clusters.size)
    fit = OLS(x, np.ones(x.size)).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": True, "df_correction": True}, use_t=True
    )
    interval = mean_interval(x, clusters)
    assert interval is not None
    assert interval.standard_error == pytest.approx(fit.bse[0], rel=1e-10)
    assert (interval.low, interval.high) == pytest.approx(tuple(fit.conf_int(0.05)[0]), rel=1e-10)


def test_alike_values_in_a_cluster_widen_the_interval():
    x = np.repeat([0.0, 1.0, 1.0, 0.0, 1.0], 20)
    clustered, independent = mean_interval(x, np.repeat(range(5), 20)), mean_interval(x, range(100))
    assert clustered is not None
    assert independent is not None
    assert clustered.standard_error > 4 * independent.standard_error


@pytest.mark.parametrize(("values", "clusters"), [([], []), ([0.3], ["a"]), ([0.3, 0.9], ["a", "a"])])
def test_fewer_than_two_clusters_have_no_interval(values, clusters):
    assert mean_interval(values, clusters) is None


def test_equal_values_have_an_interval_of_no_width():
    interval = mean_interval([1.0, 1.0, 1.0], [1, 2, 2])
    assert interval is not None
    assert (interval.low, interval.mean, interval.high) == (1.0, 1.0, 1.0)


@given(st.lists(st.tuples(st.floats(-1, 1), st.integers(0, 5)), min_size=1, max_size=30))
def test_neither_order_nor_names_of_clusters_matter(rows):
    x, clusters = zip(*rows, strict=True)
    one = mean_interval(x, clusters)
    other = mean_interval(x[::-1], [f"document {c}" for c in clusters[::-1]])
    assert (one is None) == (other is None) == (len(set(clusters)) < 2)
    if one is not None and other is not None:
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-12)
        assert one.low <= one.mean <= one.high


@pytest.mark.parametrize(
    ("values", "clusters", "confidence", "message"),
    [
        ([1.0], [1, 2], 0.95, "one cluster per value"),
        ([[1.0]], [[1]], 0.95, "one cluster per value"),
        ([1.0, float("nan")], [1, 2], 0.95, "value 1 is nan"),
        ([float("inf"), 1.0], [1, 2], 0.95, "value 0 is inf"),
        ([1.0, 2.0], [1, 2], 95, "between 0 and 1, got 95"),
    ],
)
def test_bad_arguments_are_refused(values, clusters, confidence, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(values, clusters, confidence)


def test_one_yes_or_no_value_per_cluster_gives_wilsons_interval_with_t_for_z():
    # statsmodels asks for z by its tail: that of the t quantile with 39 degrees of freedom.
    x = np.repeat([1.0, 0.0], [37, 3])
    interval = mean_interval(x, range(40), bounds=(0, 1))
    tails = 2 * stats.norm.sf(stats.t.ppf(0.975, 39))
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(37, 40, alpha=tails, method="wilson"))


def test_pairs_that_are_always_alike_count_once():
    # In units of p (1 - p), the variance of the mean of 80 values in 40 pairs is 1 / 39 and s^2 / G is 80 / 79 / 40.
    # The clusters' residual sums are 0.5 (30 times) and -1.5 (10 times): k = 30^2 / 52.5 = 17.14.
    x = np.repeat(np.repeat([1.0, 0.0], [30, 10]), 2)
    interval = mean_interval(x, np.repeat(range(40), 2), bounds=(0, 1))
    k = 30**2 / 52.5
    n = 80 / 79 / ((k / 39 + 80 / 79 / 40) / (k + 1))
    assert 39 < n < 40.1
    tails = 2 * stats.norm.sf(stats.t.ppf(0.975, 39))
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(0.75 * n, n, tails, method="wilson"))


@pytest.mark.parametrize(("value", "low", "high"), [(1.0, 0.72, 1.0), (0.0, 0.0, 0.28), (0.5, 0.23, 0.77)])
def test_equal_values_leave_as_much_open_as_the_number_of_clusters(value, low, high):
    # Wilson for 0 of 12 with t(0.975, 11) = 2.201: t^2 / (12 + t^2) = 4.844 / 16.844 = 0.288; for 1/2 of 12:
    # 1/2 +- t sqrt(1/48 + t^2 / 576) / (1 + t^2 / 12) = 1/2 +- 0.2682.
    interval = mean_interval([value] * 36, np.repeat(range(12), 3), bounds=(0, 1))
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.01)
    assert interval.low <= value <= interval.high


@given(
    st.lists(
        st.tuples(st.sampled_from([-1.0, -0.3, 0.2, 0.999, 1.0]) | st.floats(-1, 1), st.integers(0, 5)), max_size=30
    ),
    st.sampled_from([0.5, 0.95, 0.999]),
)
def test_a_bounded_interval_holds_the_mean_stays_within_and_has_a_width(rows, confidence):
    x, clusters = [value for value, _ in rows], [cluster for _, cluster in rows]
    interval = mean_interval(x, clusters, confidence, bounds=(-1, 1))
    assert (interval is None) == (len(set(clusters)) < 2)
    if interval is not None:
        assert -1 <= interval.low <= interval.mean <= interval.high <= 1
        assert interval.low < interval.high


def test_bounds_only_shift_and_scale():
    x = np.random.default_rng(5).random(30)
    unit, wide = mean_interval(x, range(30), bounds=(0, 1)), mean_interval(100 * x - 50, range(30), bounds=(-50, 50))
    assert unit is not None
    assert wide is not None
    assert (wide.low, wide.high) == pytest.approx((100 * unit.low - 50, 100 * unit.high - 50))


@pytest.mark.parametrize(
    ("bounds", "message"), [((0, 1), r"from 0 to 1, but value 1 is 1\.5"), ((1, 1), "a lower and a higher bound")]
)
def test_values_out_of_bounds_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        mean_interval([1.0, 1.5], [1, 2], bounds=bounds)


def clustered(random, groups, mean, alike):
    """Yes-or-no values of clusters of 1 to 9, whose own means scatter around the mean (beta-binomial)."""
    clusters = np.repeat(np.arange(groups), random.integers(1, 10, groups))
    own = random.beta(mean * (1 / alike - 1), (1 - mean) * (1 / alike - 1), groups)
    return (random.random(clusters.size) < own[clusters]).astype(float), clusters


@pytest.mark.parametrize(("groups", "mean"), [(12, 0.9), (20, 0.95), (60, 0.9), (150, 0.97)])
def test_bounded_intervals_cover_the_mean_of_clustered_yes_or_no_values(groups, mean):
    # The share of 800 samples has a standard error of 0.8 %. Near a bound the interval leans to the safe side.
    random, covered = np.random.default_rng(groups), 0
    for _ in range(800):
        interval = mean_interval(*clustered(random, groups, mean, 0.2), bounds=(0, 1))
        covered += interval.low <= mean <= interval.high
    assert 0.935 <= covered / 800 <= 0.995


@pytest.mark.parametrize(("bounds", "low"), [(None, 0.925), ((-1, 1), 0.935)])
def test_intervals_cover_the_mean_of_clustered_continuous_values(bounds, low):
    # Cosines of 40 clusters around 0.7, half of their variance shared within the cluster.
    random, covered = np.random.default_rng(7), 0
    for _ in range(800):
        clusters = np.repeat(np.arange(40), random.integers(1, 10, 40))
        x = 0.7 + 0.08 * (random.normal(size=40)[clusters] + random.normal(size=clusters.size))
        interval = mean_interval(np.clip(x, -1, 1), clusters, bounds=bounds)
        covered += interval.low <= 0.7 <= interval.high
    assert low <= covered / 800 <= 0.975
