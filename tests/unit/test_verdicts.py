"""Adjusted p-values against statsmodels, and the words that follow from them."""

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from rageval.metrics import catalogue
from rageval.metrics.names import metric_of
from rageval.statistics.multiplicity import holm
from rageval.statistics.paired import PairedDifference
from rageval.statistics.verdicts import verdict

DIFFERENCE = PairedDifference(
    mean=0.1, low=0.01, high=0.19, standard_error=0.04, p_value=0.03, effect_size=0.2, smallest_detectable=0.04,
    better=40, worse=20, tied=40, n=100, clusters=30,
)  # fmt: skip


def test_four_tests_by_hand():
    # Sorted 0.01 * 4, 0.02 * 3, 0.03 * 2 and 0.04 * 1, none below the one before: 0.04, 0.06, 0.06, 0.06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])


@pytest.mark.parametrize("size", [1, 2, 7, 40])
def test_holm_agrees_with_statsmodels(size):
    p_values = np.random.default_rng(size).choice([0.0, 0.001, 0.001, 0.004, 0.02, 0.3, 1.0], size)
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)


def test_no_tests_have_no_adjusted_p():
    assert holm([]).shape == (0,)


@pytest.mark.parametrize("p_values", [[0.1, float("nan")], [1.1], [-0.1], [[0.1]]])
def test_what_is_no_p_value_is_refused(p_values):
    with pytest.raises(ValueError, match="p-values from 0 to 1"):
        holm(p_values)


def test_holm_keeps_one_false_alarm_among_20_tests_below_5_of_100():
    # 2,000 families of 20 true nulls; the share's standard error is 0.5 %.
    p_values = np.random.default_rng(0).random((2000, 20))
    assert np.mean([holm(family).min() < 0.05 for family in p_values]) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize(
    ("changed", "p_value", "expected"),
    [
        ({}, 0.049, "better"),
        ({"mean": -0.1}, 0.049, "worse"),
        ({}, 0.05, "no difference seen"),
        ({"smallest_detectable": 0.051}, 0.05, "too few questions"),
        ({"smallest_detectable": 0.051}, 0.049, "better"),
        ({"clusters": 9}, 0.0001, "too few questions"),
        ({"clusters": 10}, 0.0001, "better"),
    ],
)
def test_the_verdict_follows_from_p_the_sign_and_what_could_have_been_seen(changed, p_value, expected):
    assert verdict(replace(DIFFERENCE, **changed), p_value) == expected


def test_what_matters_is_the_users_to_say_and_without_clusters_there_is_nothing_to_say():
    assert verdict(DIFFERENCE, 0.5, relevant=0.03) == "too few questions"
    assert verdict(None, 1.0) == "too few questions"


@pytest.mark.parametrize(
    ("name", "bounds", "higher"),
    [
        ("ndcg@10", (0, 1), True),
        ("cosine", (-1, 1), True),
        ("correctness[again]", (0, 1), True),
        ("toxicity", (0, 1), False),
        ("refusal", (0, 1), None),
        ("answer_words", None, None),
        ("search_latency_s", None, False),
        ("cost_usd", None, False),
        ("never heard of", None, None),
    ],
)
def test_the_catalog_knows_bounds_and_direction_of_every_metric(name, bounds, higher):
    assert (catalogue.bounds(name), catalogue.higher_is_better(name)) == (bounds, higher)
    assert (catalogue.description(name) is None) == (name == "never heard of")


def test_the_metric_behind_a_name():
    names = ["mrr@5", "pairwise[gpt-4o@eu]", "pairwise[b, swapped]", "cosine"]
    assert [metric_of(name) for name in names] == ["mrr", "pairwise", "pairwise", "cosine"]
