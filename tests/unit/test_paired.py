"""Paired differences against hand arithmetic, scipy and statsmodels; error rates and power by simulation."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.regression.linear_model import OLS

from rageval.statistics.paired import FLIPS, paired_difference
from rageval.statistics.verdicts import verdict


def test_six_questions_by_hand():
    # d = 1, 0 | 0, 1 | -1, 0: mean 1/6, clusters' residual sums 2/3, 2/3, -4/3; Var = 3/2 * (24/9) / 36 = 1/9.
    # t(0.975, 2) = 4.302653, t(0.8, 2) = 1.060660. Fewer than 6 clusters: at least 1 is the smallest difference.
    found = paired_difference([1, 0, 1, 1, 0, 0], [0, 0, 1, 0, 1, 0], list("aabbcc"))
    assert found is not None
    assert (found.better, found.worse, found.tied, found.n, found.clusters) == (2, 1, 3, 6, 3)
    assert (found.mean, found.standard_error) == (pytest.approx(1 / 6), pytest.approx(1 / 3))
    assert (found.low, found.high) == (pytest.approx(1 / 6 - 4.302653 / 3), pytest.approx(1 / 6 + 4.302653 / 3))
    assert found.smallest_detectable == pytest.approx((4.302653 + 1.060660) / 3)
    # Standard deviation of d: squared residuals 25/36 + 1/36 + 1/36 + 25/36 + 49/36 + 1/36 = 17/6, over 5.
    assert found.effect_size == pytest.approx(1 / 6 / math.sqrt(17 / 30))
    # Sums 1, 1, -1 of equal clusters: |t| of 6 of the 8 flips equals the observed, that of 2 is larger.
    assert found.p_value == 1.0


def test_one_question_per_cluster_is_scipys_paired_t_test():
    random = np.random.default_rng(1)
    a, b = random.normal(0.1, 1, 80), random.normal(0, 1, 80)
    found, expected = paired_difference(a, b, range(80)), stats.ttest_rel(a, b)
    assert found is not None
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(expected.confidence_interval(0.95))
    assert found.effect_size == pytest.approx(expected.statistic / math.sqrt(80))  # dz = t / sqrt(n)


def test_it_agrees_with_statsmodels():
    random = np.random.default_rng(2)
    clusters = np.concatenate([np.arange(60), random.integers(0, 60, 200)])
    a, b = random.normal(size=60)[clusters] + random.normal(size=260), random.normal(0.3, 1, 260)
    fit = OLS(a - b, np.ones(260)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
    found = paired_difference(a, b, clusters)
    assert found is not None
    assert (found.standard_error, found.p_value) == pytest.approx((fit.bse[0], fit.pvalues[0]))
    assert (found.low, found.high) == pytest.approx(tuple(fit.conf_int(0.05)[0]))


@pytest.mark.parametrize(("wins", "losses", "n"), [(5, 0, 1000), (9, 1, 12), (8, 3, 40), (14, 0, 14)])
def test_one_yes_or_no_answer_per_cluster_gives_mcnemars_exact_p(wins, losses, n):
    # scipy's exact binomial test is McNemar's: of the answers that differ, how many favour a.
    d = np.repeat([1, -1, 0], [wins, losses, n - wins - losses])
    found = paired_difference(np.maximum(d, 0), np.maximum(-d, 0), range(n))
    assert found is not None
    assert found.p_value == pytest.approx(stats.binomtest(wins, wins + losses).pvalue, abs=1e-12)


def test_few_clusters_have_the_p_value_of_all_sign_flips_of_t():
    random = np.random.default_rng(3)
    clusters = np.concatenate([np.arange(9), random.integers(0, 9, 20)])
    d = random.normal(0.5, 1, 29)

    def squared_t(values):
        fit = OLS(values, np.ones(29)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True)
        return fit.tvalues[0] ** 2

    flips = [squared_t(d * np.array(signs)[clusters]) for signs in product([1, -1], repeat=9)]
    exact = np.mean([other >= squared_t(d) * (1 - 1e-9) for other in flips])
    found = paired_difference(d, np.zeros(29), clusters)
    assert found is not None
    t_test = OLS(d, np.ones(29)).fit(cov_type="cluster", cov_kwds={"groups": clusters}, use_t=True).pvalues[0]
    assert found.p_value == pytest.approx(max(exact, t_test))


def test_drawn_sign_flips_come_close_to_the_exact_p():
    # 15 of 20 in one direction: exactly 0.0414; the share of 19,999 draws has a standard error of 0.0014.
    found = paired_difference([1] * 15 + [0] * 5, [0] * 15 + [1] * 5, range(20))
    assert found is not None
    assert found.p_value == pytest.approx(stats.binomtest(15, 20).pvalue, abs=4.5 * math.sqrt(0.0414 / FLIPS))


def test_equal_values_are_no_difference_and_say_how_much_could_have_been_missed():
    found = paired_difference([0.3] * 100, [0.3 + 1e-12] * 100, range(100))
    assert found is not None
    assert (found.mean, found.low, found.high, found.p_value, found.effect_size) == (0, 0, 0, 1, None)
    assert (found.better, found.worse, found.tied) == (0, 0, 100)
    # With this share of clusters that differ, 6 of 100 or more do so with a probability of 80 %.
    assert stats.binom.sf(5, 100, found.smallest_detectable) == pytest.approx(0.8)


def test_the_same_difference_everywhere_is_as_sure_as_all_heads():
    found = paired_difference([0.7] * 12, [0.4] * 12, range(12))
    assert found is not None
    assert found.p_value == pytest.approx(2 / 2**12)
    assert (found.low, found.high) == (pytest.approx(0.3), pytest.approx(0.3))
    unequal = paired_difference([1.0] * 100, [0.0] * 100, np.repeat(range(10), np.arange(1, 20, 2)))
    assert unequal is not None
    assert unequal.p_value == pytest.approx(2 / 2**10)


def test_the_smallest_detectable_difference_covers_at_least_six_clusters():
    # One of 50 questions differs: by the standard error alone, 0.02 * (2.01 + 0.85) = 0.057 could be seen.
    found = paired_difference([1] + [0] * 49, [0] * 50, range(50))
    assert found is not None
    assert stats.binom.sf(5, 50, found.smallest_detectable) == pytest.approx(0.8)
    few = paired_difference([1, 0, 0], [1, 0, 0], range(3))
    assert few is not None
    assert few.smallest_detectable == 1.0


ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 19)),
    min_size=1,
    max_size=60,
)


@given(ROWS)
def test_swapping_the_sides_turns_the_signs_and_names_of_clusters_do_not_matter(rows):
    a, b, clusters = (list(column) for column in zip(*rows, strict=True))
    found, swapped = paired_difference(a, b, clusters), paired_difference(b, a, [f"d{c * 7 % 20}" for c in clusters])
    assert (found is None) == (swapped is None) == (len(set(clusters)) < 2)
    if found is not None and swapped is not None:
        assert (found.p_value, found.mean, found.low) == pytest.approx((swapped.p_value, -swapped.mean, -swapped.high))
        assert (found.better, found.worse, found.tied) == (swapped.worse, swapped.better, swapped.tied)
        assert 0 < found.p_value <= 1


@pytest.mark.parametrize(
    ("a", "b", "clusters", "message"),
    [
        ([1, 0], [1], [1, 2], "a value of a and of b per question"),
        ([1, 0], [1, 0], [1], "one cluster per value"),
        ([1, math.nan], [1, 0], [1, 2], "value 1 is nan"),
    ],
)
def test_bad_arguments_are_refused(a, b, clusters, message):
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b, clusters)


def judged(random, groups, mean, ahead=0.0):
    """Yes-or-no values of two models over clusters of 1 to 9 questions that share their difficulty; a is ahead."""
    clusters = np.repeat(np.arange(groups), random.integers(1, 10, groups))
    share = np.clip(random.beta(3 * mean, 3 * (1 - mean), groups)[clusters], 0, 1 - ahead)
    a, b = random.random(clusters.size) < share + ahead, random.random(clusters.size) < share
    return a.astype(float), b.astype(float), clusters


@pytest.mark.parametrize(("groups", "mean"), [(10, 0.5), (12, 0.9), (14, 0.97), (60, 0.9), (120, 0.97)])
def test_at_most_5_of_100_alike_models_are_told_apart(groups, mean):
    # The share of 600 samples has a standard error of 0.9 %: 5 % + 3 standard errors.
    random = np.random.default_rng(groups)
    alarms = sum(paired_difference(*judged(random, groups, mean)).p_value < 0.05 for _ in range(600))
    assert alarms / 600 <= 0.077


def test_clusters_that_win_or_lose_as_a_whole_raise_no_more_false_alarms():
    # Each document's questions are all won or all lost, which a test of single questions takes for 5 times as many.
    random, alarms, naive = np.random.default_rng(4), 0, 0
    for _ in range(600):
        clusters = np.repeat(np.arange(12), random.integers(1, 10, 12))
        d = random.choice([-1.0, 1.0], 12)[clusters]
        alarms += paired_difference(d, np.zeros(d.size), clusters).p_value < 0.05
        naive += abs(d.mean()) > 1.96 * d.std(ddof=1) / math.sqrt(d.size)
    assert alarms / 600 <= 0.077
    assert naive / 600 > 0.3


def test_the_smallest_detectable_difference_is_found_in_about_80_of_100_cases():
    # First the typical smallest detectable difference of 60 clusters, then samples that truly differ by it.
    random = np.random.default_rng(5)
    smallest = np.mean([paired_difference(*judged(random, 60, 0.5, 0.1)).smallest_detectable for _ in range(200)])
    found = [paired_difference(*judged(random, 60, 0.5, smallest)) for _ in range(600)]
    power = np.mean([one.p_value < 0.05 for one in found])
    # The share's standard error is 1.6 %, and the sign-flip test is a bit more careful than the t test.
    assert 0.74 <= power <= 0.86
    said = [verdict(one, one.p_value) for one in found]
    assert said.count("better") / 600 == pytest.approx(power, abs=0.01)
