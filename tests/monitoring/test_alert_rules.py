"""Rules: an alert for what is broken beyond noise, one for as long as it lasts; what cannot be meant is named."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from rageval.errors import ConfigError
from rageval.monitoring.alert_rules import Rule, WindowStatistic, alerts_of, outcome
from rageval.monitoring.buckets import bucket, quantile
from rageval.monitoring.watch import read_rules
from rageval.monitoring.windows import Share, Window, complete_windows

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RULE = Rule(name="relevance", statistic="relevance_share", below=0.6)
DAYS = complete_windows(NOW, DAY, NOW - 30 * DAY)


def _measured(window: Window, hits: int, n: int) -> WindowStatistic:
    share = Share(hits=hits, n=n)
    low, high = share.interval or (None, None)
    return WindowStatistic(window=window, value=share.value, low=low, high=high, n=n)


def test_a_rule_is_broken_only_where_the_bound_lies_outside_the_interval() -> None:
    # 0.6 of 100: Wilson's interval of 50 hits is [0.404, 0.596], of 51 [0.413, 0.606].
    assert outcome(RULE, _measured(DAYS[0], 50, 100)) == "broken"
    assert outcome(RULE, _measured(DAYS[0], 51, 100)) == "unknown"
    assert outcome(RULE, _measured(DAYS[0], 59, 100)) == "unknown"
    assert outcome(RULE, _measured(DAYS[0], 60, 100)) == "kept"
    assert outcome(RULE, _measured(DAYS[0], 0, 49)) == "unknown"
    assert outcome(RULE, _measured(DAYS[0], 0, 0)) == "unknown"
    over = Rule(name="errors", statistic="error_share", above=0.02)
    # 0.02 of 200 is 4 failures: the interval of 8 begins at 0.0204, of 7 at 0.0170.
    assert [outcome(over, _measured(DAYS[0], hits, 200)) for hits in (4, 7, 8)] == ["kept", "unknown", "broken"]


def test_what_is_counted_and_not_sampled_has_no_noise() -> None:
    cost = Rule(name="cost", statistic="cost_usd", above=20)
    assert outcome(cost, WindowStatistic(window=DAYS[0], value=20.01, n=3)) == "broken"
    assert outcome(cost, WindowStatistic(window=DAYS[0], value=20.0, n=3)) == "kept"
    silence = Rule(name="silence", statistic="questions", below=1)
    assert outcome(silence, WindowStatistic(window=DAYS[0], value=0, n=0)) == "broken"


def test_what_lasts_is_one_alert_and_what_comes_back_another() -> None:
    # kept, broken, neither, too few, broken, kept, broken
    days = [_measured(day, hits, n) for day, (hits, n) in zip(
        DAYS, [(70, 100), (30, 100), (55, 100), (1, 3), (40, 100), (60, 100), (20, 100)], strict=False
    )]  # fmt: skip
    first, second = alerts_of(RULE, days, NOW)
    assert (first.window_start, first.window_end) == (DAYS[1].start, DAYS[4].end)
    assert (first.value, first.n) == (0.4, 100)
    assert (second.window_start, second.window_end) == (DAYS[6].start, DAYS[6].end)
    assert first.message == (
        f"The share of relevant answers was 0.4 [0.309, 0.498] of 100 on {DAYS[4].start:%Y-%m-%d} (UTC), below 0.6; so "
        f"since {DAYS[1].start:%Y-%m-%d} 00:00 UTC."
    )


def test_the_rate_of_false_alarms_is_that_of_the_interval() -> None:
    random = np.random.default_rng(5)

    def broken(true: float) -> float:
        hits = random.binomial(150, true, 20_000)
        return float(np.mean([outcome(RULE, _measured(DAYS[0], int(hit), 150)) == "broken" for hit in hits]))

    # One side of a 95 % interval: 2.5 days of a hundred where the truth is the bound itself, hardly any above it.
    assert broken(0.6) == pytest.approx(0.025, abs=0.008)
    assert broken(0.7) < 0.0005
    assert broken(0.45) > 0.95


def test_windows_are_the_same_whoever_looks_and_only_those_that_are_over() -> None:
    assert [(w.start, w.end) for w in complete_windows(NOW, DAY, NOW - 2 * DAY)] == [
        (datetime(2026, 2, 28, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC))
    ]
    later = complete_windows(NOW + timedelta(minutes=59), timedelta(hours=1), NOW - timedelta(hours=2))
    assert [w.start.hour for w in later] == [10, 11]
    assert complete_windows(NOW, DAY, NOW) == []
    assert {w.start.weekday() for w in complete_windows(NOW, 7 * DAY, NOW - 60 * DAY)} == {0}  # Mondays


def test_the_percentile_of_buckets_is_at_most_a_tenth_too_high() -> None:
    seconds = np.random.default_rng(4).lognormal(0, 0.6, 5000)
    numbers, counts = np.unique([bucket(one) for one in seconds], return_counts=True)
    found = quantile(dict(zip(numbers.tolist(), counts.tolist(), strict=True)), 0.95)
    assert found is not None
    assert 1 <= found / np.quantile(seconds, 0.95, method="inverted_cdf") <= 1.1
    assert quantile({}, 0.95) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [{name: a, statistic: cost_usd}]", "the rule 'a' needs either above or below"),
        ("rules: [{name: a, statistic: cost_usd, above: 1, below: 2}]", "needs either above or below"),
        (
            "rules: [{name: a, statistic: price, above: 1}]",
            "nothing called 'price' is measured; known are relevance_share",
        ),
        ("rules: [{name: a, statistic: topic_drift, below: 1}]", "can only be above"),
        ("rules: [{name: a, statistic: cost_usd, above: 1, hours: 2}]", r"rules\.0\.hours is not a known setting"),
        (
            "rules: [{name: a, statistic: questions, below: 1}, {name: a, statistic: cost_usd, above: 1}]",
            "two rules have",
        ),
        ("- a", "holds a list"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        read_rules(str(file))


def test_the_rules_that_come_along_can_be_read_and_a_missing_file_is_named() -> None:
    assert len(read_rules("deployments/alerts.yaml")) >= 8
    assert read_rules("") == ()
    with pytest.raises(ConfigError, match=r"the file of alert rules gone\.yaml does not exist"):
        read_rules("gone.yaml")
