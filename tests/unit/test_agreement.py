"""Agreement against hand arithmetic, scikit-learn, scipy and statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import cohen_kappa_score, roc_auc_score
from sklearn.metrics import confusion_matrix as sklearn_confusion
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from rageval.statistics import agreement
from rageval.statistics.agreement import auc, cohen_kappa, percent_agreement, spearman
from rageval.statistics.intervals import mean_interval

LABELS = ("RELEVANT", "PARTLY_RELEVANT", "NON_RELEVANT")
label_pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)


def judged(n, agree, seed=0, shares=(0.6, 0.25, 0.15)):
    """Two judgements of n answers that copy each other with that probability and else draw on their own."""
    random = np.random.default_rng(seed)
    first = random.choice(LABELS, size=n, p=shares)
    second = np.where(random.random(n) < agree, first, random.choice(LABELS, size=n, p=shares))
    return first.tolist(), second.tolist()


def test_kappa_of_ten_pairs_by_hand():
    # A says R R R R R R N N N N, B says R R R R N N N N N R: 7 of 10 alike. R: 6 and 5 of 10, N: 4 and 5.
    # By chance 0.6 * 0.5 + 0.4 * 0.5 = 0.5; kappa = (0.7 - 0.5) / (1 - 0.5) = 0.4.
    first, second = list("RRRRRRNNNN"), list("RRRRNNNNNR")
    kappa = cohen_kappa(first, second, "RN")
    assert kappa is not None
    assert kappa.value == pytest.approx(0.4)
    assert (kappa.n, kappa.clusters) == (10, 10)
    assert percent_agreement(first, second) == 0.7
    assert agreement.confusion_matrix(first, second, "RN").tolist() == [[4, 2], [1, 3]]


@given(pairs=label_pairs)
def test_kappa_and_confusion_are_those_of_scikit_learn(pairs):
    first, second = (list(side) for side in zip(*pairs, strict=True))
    matrix = agreement.confusion_matrix(first, second, LABELS)
    assert matrix.tolist() == sklearn_confusion(first, second, labels=LABELS).tolist()
    for weights in ("none", "linear"):
        ours = cohen_kappa(first, second, LABELS, weights=weights)
        if len(set(first) | set(second)) == 1:
            assert ours is None
            continue
        theirs = cohen_kappa_score(first, second, labels=LABELS, weights=None if weights == "none" else weights)
        assert ours is not None
        assert ours.value == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize("weights", ["none", "linear"])
def test_the_standard_error_of_kappa_is_that_of_statsmodels_with_one_pair_more(weights):
    first, second = judged(80, 0.6)
    counts = agreement.confusion_matrix(first, second, LABELS)
    smooth = counts + np.outer(counts.sum(axis=1), counts.sum(axis=0)) / 80**2
    theirs = cohens_kappa(smooth, wt=None if weights == "none" else "linear")
    ours = cohen_kappa(first, second, LABELS, weights=weights)
    assert ours is not None
    # Theirs divides by n = 81, ours has G / (G - 1) for the 80 pairs seen: 1 % more variance.
    assert ours.standard_error == pytest.approx(theirs.std_kappa, rel=0.01)
    assert ours.low < theirs.kappa < ours.high


def test_kappa_has_no_value_where_one_label_is_all_there_is_and_an_interval_where_all_agree():
    assert cohen_kappa([], [], LABELS) is None
    assert cohen_kappa(["RELEVANT"] * 9, ["RELEVANT"] * 9, LABELS) is None
    assert percent_agreement([], []) is None
    alike = cohen_kappa(LABELS * 10, LABELS * 10, LABELS)
    assert alike is not None
    assert (alike.value, alike.high) == (1.0, 1.0)
    assert 0.7 < alike.low < 0.95
    constant = cohen_kappa(["RELEVANT"] * 4, ["RELEVANT", "RELEVANT", "RELEVANT", "NON_RELEVANT"], LABELS)
    assert constant is not None
    assert constant.value == 0  # 3 of 4 alike, which is what chance gives


def test_an_answer_counted_four_times_makes_no_interval_narrower():
    first, second = judged(100, 0.6)
    once = cohen_kappa(first, second, LABELS)
    four = cohen_kappa(first * 4, second * 4, LABELS, np.tile(np.arange(100), 4))
    assert four.value == pytest.approx(once.value)
    assert four.high - four.low == pytest.approx(once.high - once.low, rel=0.03)
    assert cohen_kappa(first, second, LABELS, np.zeros(100)).low is None  # one cluster: nothing is known


def test_unknown_labels_and_unequal_lengths_are_refused():
    with pytest.raises(ValueError, match="'GOOD' is none of"):
        cohen_kappa(["GOOD"], ["RELEVANT"], LABELS)
    with pytest.raises(ValueError, match="got 1 and 2"):
        percent_agreement(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="each label once"):
        agreement.confusion_matrix(["a"], ["a"], ["a", "a"])
    with pytest.raises(ValueError, match="finite"):
        auc([np.nan, 1], [True, False])


def test_the_interval_of_kappa_covers_in_clusters_as_without():
    # Pairs come in clusters of 3 that share their first judgement; true kappa of "copy with 0.6" is 0.6.
    random = np.random.default_rng(7)
    draws, clusters = 400, np.repeat(np.arange(60), 3)
    first = np.repeat(random.choice(3, size=(draws, 60), p=(0.6, 0.25, 0.15)), 3, axis=1)
    copies = np.repeat(random.random((draws, 60)), 3, axis=1) < 0.6  # a whole cluster copies, or none of it
    second = np.where(copies, first, random.choice(3, size=(draws, 180), p=(0.6, 0.25, 0.15)))
    found = [cohen_kappa(a.tolist(), b.tolist(), (0, 1, 2), clusters) for a, b in zip(first, second, strict=True)]
    covered = np.mean([estimate.low <= 0.6 <= estimate.high for estimate in found])
    assert 0.92 <= covered <= 0.98  # 0.95 +- 3 standard errors of 400 draws, sqrt(0.95 * 0.05 / 400) = 0.011


def test_auc_of_five_answers_by_hand():
    # Positives 3, 2, 1 against negatives 2, 0: 3 beats both; 2 ties one, beats one; 1 beats one: 4.5 of 6 pairs.
    area = auc([3, 2, 1, 2, 0], [True, True, True, False, False])
    assert area is not None
    assert area.value == pytest.approx(4.5 / 6)
    assert auc([1, 2], [True, True]) is None
    perfect = auc([3, 2, 1, 0], [True, True, False, False])
    assert (perfect.value, perfect.low) == (1.0, None)


@given(rows=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_with_ties_is_that_of_scikit_learn_and_of_mann_whitney(rows):
    scores, positive = (np.array(side) for side in zip(*rows, strict=True))
    if positive.all() or not positive.any():
        assert auc(scores, positive) is None
        return
    ours = auc(scores, positive)
    assert ours.value == pytest.approx(roc_auc_score(positive, scores))
    u = stats.mannwhitneyu(scores[positive], scores[~positive]).statistic
    assert ours.value == pytest.approx(u / (positive.sum() * (~positive).sum()))


def test_the_error_of_auc_is_delongs():
    # DeLong: S10 / m + S01 / n with the variances of the placements, by hand from their definition.
    random = np.random.default_rng(1)
    positive = random.random(120) < 0.4
    scores = np.round(random.normal(positive, 1.0), 1)
    wins = (scores[positive][:, None] > scores[~positive]) + 0.5 * (scores[positive][:, None] == scores[~positive])
    m, n = wins.shape
    delong = wins.mean(axis=1).var(ddof=1) / m + wins.mean(axis=0).var(ddof=1) / n
    assert auc(scores, positive).standard_error == pytest.approx(delong**0.5, rel=0.02)  # m/(m-1) against G/(G-1)


@given(rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=3, max_size=30))
def test_spearman_with_ties_is_that_of_scipy(rows):
    x, y = (np.array(side) for side in zip(*rows, strict=True))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        assert spearman(x, y) is None
        return
    assert spearman(x, y).value == pytest.approx(stats.spearmanr(x, y).statistic)


def test_the_interval_of_spearman_covers_no_correlation_and_a_weak_one():
    # For a bivariate normal with correlation r, Spearman's rho is 6 / pi * asin(r / 2).
    random = np.random.default_rng(3)
    for r in (0.0, 0.3):
        x = random.normal(size=(400, 150))
        y = r * x + np.sqrt(1 - r * r) * random.normal(size=(400, 150))
        rho = 6 / np.pi * np.arcsin(r / 2)
        found = [spearman(a, b) for a, b in zip(x, y, strict=True)]
        assert 0.92 <= np.mean([e.low <= rho <= e.high for e in found]) <= 0.98


def test_the_interval_of_a_flip_rate_is_wilsons():
    # With one pair per cluster; Wilson has z where the interval has t, which at 2,000 pairs is 0.06 % more.
    flips = np.arange(2000) < 130
    interval = mean_interval(flips, np.arange(2000), bounds=(0, 1))
    assert (interval.low, interval.high) == pytest.approx(proportion_confint(130, 2000, method="wilson"), rel=1e-3)
