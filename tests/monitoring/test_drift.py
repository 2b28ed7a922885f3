"""Drift: equal to a second library, silent where nothing changes, and quick where something does."""

import numpy as np
import pytest
from scipy.stats import chisquare
from statsmodels.stats.proportion import proportion_confint

from rageval.monitoring.drift import Drift, correct, score_drift, share_drift
from rageval.monitoring.thumbs import thumbs_agreement
from rageval.monitoring.windows import wilson

WEEKS, DAY = 14, 120
TOPICS = np.array([0.3, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.03, 0.02, 0.01])


def _counted(random: np.random.Generator, n: int, shares: np.ndarray) -> dict[str, int]:
    return {f"t{number}": int(n_of) for number, n_of in enumerate(random.multinomial(n, shares)) if n_of}


def test_the_test_of_shares_is_pearsons_with_rare_topics_as_one() -> None:
    # Of 400 and 100 questions, the smaller time expects a fifth of each topic: c (10 -> 2) and d (16 -> 3.2) are rare.
    before, now = {"a": 250, "b": 132, "c": 4, "d": 14}, {"a": 40, "b": 52, "c": 6, "d": 2}
    found = share_drift("topics", before, now, minimum=50)
    table = np.array([[18, 132, 250], [8, 52, 40]])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / 500
    assert found.p_value == pytest.approx(chisquare(table.ravel(), expected.ravel(), ddof=3, sum_check=False).pvalue)
    # |0.625 - 0.4| + |0.33 - 0.52| + |0.01 - 0.06| + |0.035 - 0.02|, halved.
    assert found.effect == pytest.approx((0.225 + 0.19 + 0.05 + 0.015) / 2)
    assert found.note == "a: 62% -> 40%"


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 40), (3, 7), (40, 40), (617, 1000)])
def test_the_interval_of_a_share_is_wilsons(hits: int, n: int) -> None:
    assert wilson(hits, n) == pytest.approx(proportion_confint(hits, n, 0.05, method="wilson"), abs=1e-12)


def test_a_day_in_which_nothing_changed_is_called_changed_as_rarely_as_the_significance_says() -> None:
    random = np.random.default_rng(1)
    called = 0
    for _ in range(1000):
        drifts = [
            share_drift("topics", *(_counted(random, n, TOPICS) for n in (WEEKS * DAY, DAY)), minimum=50),
            share_drift("languages", *(_counted(random, n, np.array([0.9, 0.07, 0.03])) for n in (WEEKS * DAY, DAY)),
                        minimum=50),
            score_drift("scores", random.beta(5, 2, WEEKS * DAY), random.beta(5, 2, DAY), minimum=50),
        ]  # fmt: skip
        called += any(drift.verdict == "changed" for drift in correct(drifts, 0.01))
    # At most 1 in 100 by Holm; of 1,000 days more than 21 have a chance below 0.1 %.
    assert 1 <= called <= 21


def test_a_planted_change_is_found() -> None:
    random = np.random.default_rng(2)
    moved = TOPICS + np.array([-0.2, 0, 0, 0, 0, 0, 0, 0, 0, 0.2])
    topics = [
        share_drift("topics", _counted(random, WEEKS * DAY, TOPICS), _counted(random, DAY, moved), minimum=50)
        for _ in range(50)
    ]
    scores = [
        score_drift("scores", random.beta(5, 2, WEEKS * DAY), random.beta(5, 3.5, DAY), minimum=50) for _ in range(50)
    ]
    for found in (topics, scores):
        assert sum(drift.verdict == "changed" for one in found for drift in correct([one], 0.01)) >= 48


def test_too_little_is_said_to_be_too_little() -> None:
    few = [
        share_drift("topics", {"a": 1000}, {"b": 49}, minimum=50),
        share_drift("topics", {}, {"b": 100}, minimum=50),
        score_drift("scores", [0.5] * 100, [], minimum=50),
    ]
    assert [drift.verdict for drift in correct(few, 0.01)] == ["too few"] * 3
    assert few[0].effect == 1.0
    (same,) = correct([share_drift("topics", {"a": 1000}, {"a": 100}, minimum=50)], 0.01)
    assert (same.verdict, same.effect) == ("no evidence", 0.0)


def test_what_was_not_tested_counts_in_no_correction() -> None:
    def of(p: float | None) -> Drift:
        return Drift(subject="s", effect=0.1, p_value=p, n_reference=100, n=100)

    found = correct([of(0.004), of(None), of(0.04)], 0.01)
    assert [drift.p_value for drift in found] == [0.008, None, 0.04]  # of two tests, not of three
    assert [drift.verdict for drift in found] == ["changed", "too few", "no evidence"]


def test_the_judge_and_the_thumbs_agree_as_far_as_kappa_says() -> None:
    labels = ["RELEVANT"] * 5 + ["PARTLY_RELEVANT"] * 2 + ["NON_RELEVANT"] * 3
    thumbs = [1, 1, 1, 1, -1, 1, -1, -1, -1, -1]
    found = thumbs_agreement(labels, thumbs, [str(number) for number in range(10)])
    # Good and up: 4 of 5; bad and down: 4 of 5. Chance: 0.5 x 0.5 + 0.5 x 0.5, so kappa = (0.8 - 0.5) / 0.5.
    assert (found.agreement, found.up_but_bad, found.down_but_good) == (0.8, 1, 1)
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(0.6)
    assert thumbs_agreement([], [], []).kappa is None
