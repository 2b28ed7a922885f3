"""Watching: statistics equal a count by hand, one alert for what was planted, told until it was heard."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from rageval.errors import ConfigError
from rageval.monitoring.alert_rules import Rule
from rageval.monitoring.config import DriftConfig, MonitoringConfig
from rageval.monitoring.drift import Drift, correct, score_drift, share_drift
from rageval.monitoring.notify import VARIABLE, addresses
from rageval.monitoring.records import Alert, ShownContext
from rageval.monitoring.store import window_counts as windows
from rageval.monitoring.store.alert_log import record_alerts, unsent_alerts
from rageval.monitoring.store.conversations import add_conversations, add_evaluations, add_votes
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.question_topics import topic_titles
from rageval.monitoring.store.schema import ALERTS
from rageval.monitoring.store.window_counts import QueryScope, errors
from rageval.monitoring.watch import drifts, read_rules, send_alerts, summarise, watch
from rageval.monitoring.windows import Window
from tests.monitoring.made import NOW, conversation, evaluation, vote
from tests.monitoring.made_traffic import END, fill, frame
from tests.monitoring.webhook import Webhook

DAY = timedelta(days=1)
MIDNIGHT = NOW.replace(hour=0)
CONFIG = MonitoringConfig(days=8)
A_DAY, DAYS, CHANGED = 100, 21, 17
JUDGED = DAYS - CONFIG.days
"""The first day whose verdicts and votes are looked at; those before it are a reference for drift alone."""


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    with Webhook() as server:
        monkeypatch.setenv(VARIABLE, server.url)
        yield server


def _fill(database: Database, *, relevant_after: float = 0.8, since: int = 0, seed: int = 11) -> None:
    """Store three weeks of 100 questions a day; a share of 0.8 is answered well, in the last four days another one."""
    random = np.random.default_rng(seed)
    conversations, evaluations, votes = [], [], []
    for number in range(A_DAY * since, A_DAY * DAYS):
        day, place = divmod(number, A_DAY)
        at = MIDNIGHT - DAYS * DAY + day * DAY + timedelta(minutes=14 * place)
        good = random.random() < (0.8 if day < CHANGED else relevant_after)
        failed = random.random() < 0.005
        made = {"status": "failed", "answer": None, "error": "no model"} if failed else {}
        score: Any = {"score": random.beta(5, 2), "document_id": "d", "section": "", "question": "", "text": ""}
        conversations.append(
            conversation(
                number,
                asked_at=at,
                total_s=random.lognormal(0.3, 0.4),
                contexts=(ShownContext(**score),),
                **made,
            )
        )
        if failed:
            continue
        evaluations += [
            evaluation(number, metric="language", judge="", label="en" if random.random() < 0.9 else "de", value=None),
            evaluation(number, metric="topic", judge="", label=f"1-{random.integers(1, 6)}"),
        ]
        if day < JUDGED:
            continue
        evaluations += [
            evaluation(number, label="RELEVANT" if good else "NON_RELEVANT", value=float(good)),
            evaluation(number, metric="faithfulness", label="FAITHFUL" if random.random() < 0.9 else "UNFAITHFUL"),
            evaluation(number, metric="toxicity", label="NOT_TOXIC", value=0.0),
        ]
        if random.random() < 0.3:
            thumbs = 1 if (random.random() < 0.85) == good else -1
            votes.append(vote(number, thumbs, given_at=at + timedelta(minutes=5)))
    add_conversations(database, conversations)
    add_evaluations(database, evaluations)
    add_votes(database, votes)


def test_a_planted_change_raises_one_alert_for_each_figure_that_shows_it(database: Database) -> None:
    _fill(database, relevant_after=0.3)
    rules = read_rules("deployments/alerts.yaml")
    alert, thumbs = watch(database, CONFIG, rules, NOW)
    # Users see the same as the judge. Everything else is as it was.
    assert (alert.rule, thumbs.rule) == ("relevance", "thumbs down")
    # The first day after the change stands out by itself: 0.3 of 100 is [0.22, 0.40].
    assert alert.window_start == MIDNIGHT - (DAYS - CHANGED) * DAY
    assert alert.window_end == MIDNIGHT
    assert watch(database, CONFIG, rules, NOW + timedelta(hours=1)) == []
    # Looking back less far finds the end of the same time, which is no new alert.
    assert watch(database, MonitoringConfig(days=3), rules, NOW) == []
    with database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(ALERTS)).scalar_one() == 2


def test_weeks_without_a_change_raise_no_alert(database: Database) -> None:
    _fill(database)
    assert watch(database, CONFIG, read_rules("deployments/alerts.yaml"), NOW) == []


def test_every_figure_can_be_watched_and_of_one_course_or_model_alone(database: Database) -> None:
    _fill(database, relevant_after=0.3, since=JUDGED)
    crossed = {
        "relevance_share": {"below": 0.6}, "faithfulness_share": {"below": 0.999}, "toxicity_share": {"below": 0.5},
        "thumbs_down_share": {"above": 0.05}, "error_share": {"below": 0.5}, "p95_s": {"above": 1.0},
        "cost_usd": {"above": 0.01}, "questions": {"above": 10}, "judge_kappa": {"below": 0.99},
    }  # fmt: skip
    rules = tuple(
        Rule(name=f"{statistic} {place}", statistic=statistic, minimum=10, window_hours=24, **bound, **place_of)  # type: ignore[arg-type]
        for statistic, bound in crossed.items()
        for place, place_of in (
            ("all", {}),
            ("here", {"system": "s1", "filter_value": "c"}),
            ("nowhere", {"filter_value": "x"}),
        )
    )
    found = {alert.rule for alert in watch(database, CONFIG, rules, NOW)}
    assert found == {f"{statistic} {place}" for statistic in crossed for place in ("all", "here")}


def test_the_summary_is_what_was_asked_in_the_last_day_beside_the_days_before(database: Database) -> None:
    shares = [
        conversation(1, asked_at=NOW - DAY, total_s=2.0), conversation(2, asked_at=NOW - timedelta(minutes=1)),
        conversation(3, asked_at=NOW - timedelta(hours=1), status="failed", answer=None, error="x", cost_usd=None),
        conversation(4, asked_at=NOW - DAY - timedelta(seconds=1)), conversation(5, asked_at=NOW),
        conversation(6, asked_at=NOW - 16 * DAY),
    ]  # fmt: skip
    add_conversations(database, shares)
    add_evaluations(database, [
        evaluation(1), evaluation(2, label="NON_RELEVANT"), evaluation(4),
        # The latest verdict on a conversation counts, and no other: 2 is relevant by now.
        evaluation(2, judge="other", evaluated_at=NOW + timedelta(minutes=1)),
        evaluation(1, judge="other", status="failed", label=None, evaluated_at=NOW + timedelta(minutes=1)),
    ])  # fmt: skip
    add_votes(database, [vote(1, -1), vote(1, 1, voter="v2"), vote(2, 1), vote(2, -1, source="judge", voter="j")])
    summary = summarise(database, CONFIG, NOW)
    current, reference = summary.current, summary.reference
    assert (current["error_share"].hits, current["error_share"].n, reference["error_share"].n) == (1, 3, 1)
    assert (current["relevance_share"].hits, current["relevance_share"].n) == (2, 2)
    assert (current["thumbs_down_share"].hits, current["thumbs_down_share"].n) == (1, 3)
    assert summary.cost == pytest.approx(0.002)
    assert summary.p95_s == pytest.approx(2.0, rel=0.1)
    assert (summary.agreement.n, summary.agreement.down_but_good) == (3, 1)
    assert [drift.verdict for drift in summary.drifts] == ["too few"] * 3


def test_nothing_at_all_is_no_alert_and_no_error(database: Database) -> None:
    rules = (Rule(name="silence", statistic="questions", below=1), Rule(name="cost", statistic="cost_usd", above=1))
    assert watch(database, CONFIG, rules, NOW) == []
    assert summarise(database, CONFIG, NOW).rows()[0]["last 24 hours"] == "0"
    add_conversations(database, [conversation(1, asked_at=NOW - 3 * DAY)])
    (alert,) = watch(database, CONFIG, rules, NOW)  # two whole days without a question
    assert (alert.rule, alert.window_start, alert.window_end) == ("silence", MIDNIGHT - 2 * DAY, MIDNIGHT)


def test_a_day_of_unknown_cost_did_not_cost_nothing(database: Database) -> None:
    add_conversations(database, [conversation(n, asked_at=NOW - DAY, cost_usd=None) for n in range(3)])
    summary = summarise(database, CONFIG, NOW)
    assert (summary.cost, summary.reference_cost) == (None, 0.0)
    assert {row["statistic"]: row["last 24 hours"] for row in summary.rows()}["cost a day"] == "unknown"


def test_a_moment_belongs_to_the_window_that_it_lies_in(database: Database) -> None:
    window, least = Window(start=MIDNIGHT - 2 * DAY, end=MIDNIGHT), timedelta(microseconds=1)
    times = (window.start - least, window.start, MIDNIGHT - DAY - least, MIDNIGHT - DAY, MIDNIGHT - least, MIDNIGHT)
    add_conversations(database, [conversation(number, asked_at=at) for number, at in enumerate(times)])
    for hours, counts in ((24, [2, 2]), (16, [1, 2, 1]), (48, [4])):
        found = errors(database, QueryScope(window=window, length=timedelta(hours=hours)))
        assert [share.n for share in found.values()] == counts


def _within(rows: pd.DataFrame, time: Window) -> pd.DataFrame:
    return rows[(rows["asked_at"] >= time.start) & (rows["asked_at"] < time.end)]


def _drift_by_hand(subject: str, verdicts: pd.DataFrame, then: Window, now: Window, names: dict[str, str]) -> Drift:
    version = _within(verdicts, now).sort_values(["evaluated_at", "metric_version"])["metric_version"].iloc[-1]
    of_version = verdicts[verdicts["metric_version"] == version]
    counts = (dict(_within(of_version, time)["label"].value_counts()) for time in (then, now))
    return share_drift(subject, *counts, minimum=10, names=names)


def test_drift_of_each_window_is_that_of_its_rows(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "MOST_SCORES", 30)
    fill(database)
    evaluations, conversations = frame(database, "evaluations"), frame(database, "conversations")
    verdicts = {metric: rows[rows["status"] == "ok"] for metric, rows in evaluations.groupby("metric")}
    names, config = topic_titles(database), DriftConfig(minimum=10)
    since = END.replace(hour=0, minute=0) - 9 * DAY  # the second version of each metric begins a day later
    window = Window(start=since, end=since + 9 * DAY)

    days = drifts(database, QueryScope(window=window, length=DAY), config)
    halves = drifts(database, QueryScope(window=window, length=1.5 * DAY), config)  # 14 days are no multiple of it

    assert (len(days), len(halves)) == (9, 6)
    for now, tested in (*days.items(), *halves.items()):
        then = now.before(14 * DAY)
        scores = (_within(conversations, time)["top_score"][:30] for time in (then, now))
        by_hand = [
            _drift_by_hand("topics", verdicts["topic"], then, now, names),
            _drift_by_hand("languages", verdicts["language"], then, now, names),
            score_drift("retrieval scores", *scores, minimum=10),
        ]
        assert tested == correct(by_hand, config.significance)
        assert {drift.verdict for drift in tested} <= {"no evidence", "too few"}


def _alert(**values: Any) -> Alert:
    return Alert(**{
        "rule": "relevance", "window_start": MIDNIGHT - DAY, "window_end": MIDNIGHT, "value": 0.3, "bound": 0.6,
        "n": 100, "message": "It was 0.3.", "raised_at": NOW, **values,
    })  # fmt: skip


def test_an_alert_that_goes_on_is_the_same_one(database: Database) -> None:
    first = _alert()
    goes_on = _alert(window_start=MIDNIGHT, window_end=MIDNIGHT + DAY, value=0.2, message="It was 0.2.")
    later = _alert(window_start=MIDNIGHT + 3 * DAY, window_end=MIDNIGHT + 4 * DAY)
    other = _alert(rule="cost")
    assert record_alerts(database, [first]) == [first]
    assert record_alerts(database, [first, goes_on, later, other]) == [later, other]
    found = {(alert.rule, alert.window_start): alert for alert in unsent_alerts(database, NOW - DAY)}
    assert len(found) == 3
    assert found["relevance", MIDNIGHT - DAY].window_end == MIDNIGHT + DAY
    assert found["relevance", MIDNIGHT - DAY].message == "It was 0.2."


def test_a_webhook_that_is_down_is_told_later_and_only_once(
    database: Database, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    record_alerts(database, [_alert(), _alert(rule="cost", message="<b>It cost $30.</b>")])
    webhook.status = 503
    alerts, told = send_alerts(database, CONFIG, NOW)
    assert (len(alerts), told.reached) == (2, False)
    assert told.failures == (f"address 1 of {VARIABLE} (json) refused the message with HTTP 503",)
    assert len(unsent_alerts(database, NOW - DAY)) == 2

    webhook.status = 200
    alerts, told = send_alerts(database, CONFIG, NOW)
    assert (len(alerts), told.reached) == (2, True)
    (message,) = webhook.taken
    assert message["title"] == "rageval: 2 alerts: cost, relevance"
    assert message["message"] == "cost: <b>It cost $30.</b>\nrelevance: It was 0.3."
    assert send_alerts(database, CONFIG, NOW)[0] == []
    assert len(webhook.taken) == 1
    assert not any(secret in caplog.text for secret in ("s3cret", "t0ken"))


def test_one_address_that_cannot_be_reached_keeps_nothing_from_the_others(
    database: Database, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, f"json://127.0.0.1:9/s3cret  {webhook.url}")
    record_alerts(database, [_alert()])
    _, told = send_alerts(database, CONFIG, NOW)
    assert told.failures == (f"address 1 of {VARIABLE} (json) cannot be reached",)
    assert len(webhook.taken) == 1
    assert unsent_alerts(database, NOW - DAY) == []


def test_an_address_that_is_none_is_named_by_its_place_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "json://localhost/a,nonsense://s3cret@host")
    with pytest.raises(ConfigError, match=f"address 2 of {VARIABLE} is none that apprise knows") as raised:
        addresses()
    assert "s3cret" not in str(raised.value)
    monkeypatch.delenv(VARIABLE)
    assert addresses() == []
