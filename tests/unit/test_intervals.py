"""The clustered interval against hand arithmetic, scipy and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS

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
