"""The corrected share against hand arithmetic, and by simulation of judges whose errors are known."""

import numpy as np
import pytest

from rageval.statistics.corrected import prediction_powered_share, rogan_gladen

NAN = float("nan")
# Ten answers; the judge calls 7 right. Six are labelled: the judge is wrong about the fourth (people: not right) and
# about the sixth (people: right).
JUDGE = [1, 1, 1, 1, 0, 0, 1, 1, 1, 0]
HUMAN = [1, 1, 1, 0, 0, 1, NAN, NAN, NAN, NAN]


def test_both_corrections_of_ten_answers_by_hand():
    # Prediction-powered: 0.7 + (0 + 0 + 0 - 1 + 0 + 1) / 6 = 0.7.
    # Rogan-Gladen: of 4 right ones the judge finds 3, of 2 others it finds 1; (0.7 + 0.5 - 1) / (0.75 + 0.5 - 1) = 0.8.
    powered, classical = prediction_powered_share(JUDGE, HUMAN), rogan_gladen(JUDGE, HUMAN)
    assert powered is not None
    assert classical is not None
    assert powered.value == pytest.approx(0.7)
    assert powered.n == 6
    assert classical.value == pytest.approx(0.8)
    assert (classical.low, classical.high) == (0.0, 1.0)  # six labels say nearly nothing


def test_the_error_of_the_prediction_powered_share_by_hand():
    # Influences of the judge's mean: (1 - 0.7)/10 = 0.03 or (0 - 0.7)/10 = -0.07; corrections (mean 0) add d/6.
    # Sums: 5 x 0.03 and 0.03 - 1/6, -0.07, -0.07 + 1/6, 0.03 * 2 in the five, -0.07.
    influences = np.array([0.03, 0.03, 0.03, 0.03 - 1 / 6, -0.07, -0.07 + 1 / 6, 0.03, 0.03, 0.03, -0.07])
    error = np.sqrt(10 / 9 * np.square(influences).sum() + 1 / 36)
    estimate = prediction_powered_share(JUDGE, HUMAN)
    assert estimate.standard_error == pytest.approx(error)
    assert estimate.high == 1.0  # 0.7 + 2.571 * 0.28, cut to the range of a share
    assert estimate.low == pytest.approx(max(0.0, 0.7 - 2.570581835636314 * error))  # t(0.975) of 6 - 1 labels


def test_a_judge_without_errors_needs_no_correction():
    human = np.where(np.arange(200) < 80, (np.arange(200) % 4 > 0).astype(float), NAN)
    judge = (np.arange(200) % 4 > 0).astype(float)
    for correct in (prediction_powered_share, rogan_gladen):
        assert correct(judge, human).value == pytest.approx(0.75)


def test_rogan_gladen_has_no_value_for_a_judge_no_better_than_chance():
    assert rogan_gladen([1, 1, 0, 0], [1, 0, 1, 0]) is None  # sensitivity 1/2, specificity 1/2
    assert rogan_gladen([1, 0, 1], [1, 1, NAN]) is None  # no answer labelled as not right
    assert prediction_powered_share([1, 1, 0, 0], [1, 0, 1, 0]).value == pytest.approx(0.5)
    assert prediction_powered_share([1, 0, 1], [1, NAN, NAN]) is None
    assert prediction_powered_share([1, 0, 1], [1, 1, NAN], [5, 5, 6]).low is None  # all labels in one cluster


def test_values_that_are_no_verdicts_are_refused():
    with pytest.raises(ValueError, match="1 for right"):
        prediction_powered_share([0.5, 1], [1, 1])
    with pytest.raises(ValueError, match="shapes"):
        rogan_gladen([1, 1], [1])


@pytest.mark.parametrize(
    ("share", "sensitivity", "specificity", "labelled"),
    [(0.6, 0.95, 1.0, 30), (0.7, 0.85, 0.7, 60), (0.8, 0.97, 0.95, 100), (0.5, 0.9, 0.6, 100)],
)
def test_the_corrected_interval_covers_the_true_share_where_the_raw_one_does_not(
    share, sensitivity, specificity, labelled
):
    random = np.random.default_rng(11)
    draws, answers = 400, 900
    truth = random.random((draws, answers)) < share
    judge = np.where(truth, random.random(truth.shape) < sensitivity, random.random(truth.shape) > specificity)
    human = np.where(np.arange(answers) < labelled, truth.astype(float), NAN)
    powered = [prediction_powered_share(f, h) for f, h in zip(judge, human, strict=True)]
    assert np.mean([e.low <= share <= e.high for e in powered]) >= 0.93  # 0.95 less 2 standard errors
    assert np.mean([e.value for e in powered]) == pytest.approx(share, abs=0.01)
    classical = [e for f, h in zip(judge, human, strict=True) if (e := rogan_gladen(f, h))]
    assert np.mean([e.low <= share <= e.high for e in classical]) >= 0.93
    width = np.median([e.high - e.low for e in powered])
    assert width <= np.median([e.high - e.low for e in classical]) * 1.02  # why reports show the former
    raw = judge.mean(axis=1)
    bias = share * sensitivity + (1 - share) * (1 - specificity) - share
    assert np.mean(np.abs(raw - share) <= 1.96 * np.sqrt(raw * (1 - raw) / answers)) < (0.94 if abs(bias) > 0.02 else 1)


def test_clusters_of_alike_answers_widen_the_interval():
    random = np.random.default_rng(5)
    truth = np.repeat(random.random(100) < 0.7, 5)  # five answers a document, all right or all wrong
    judge = np.where(truth, random.random(500) < 0.9, random.random(500) > 0.8).astype(float)
    human = np.where(np.arange(500) < 150, truth.astype(float), NAN)
    alone = prediction_powered_share(judge, human)
    clustered = prediction_powered_share(judge, human, np.repeat(np.arange(100), 5))
    assert clustered.value == alone.value
    assert clustered.high - clustered.low > 1.2 * (alone.high - alone.low)
