"""Simulated traffic: rates as they were asked for, a planted change and nothing else, and nothing stored twice."""

import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from rageval.cli import main as cli
from rageval.config.evaluation import DataConfig
from rageval.config.overrides import validate
from rageval.corpus.files import load_corpus
from rageval.errors import ConfigError
from rageval.monitoring.config import MonitoringConfig
from rageval.monitoring.planted import Rates, rates_on, thumbs_up
from rageval.monitoring.records import Conversation
from rageval.monitoring.simulate import simulate_traffic
from rageval.monitoring.store.database import Database, connect, open_database
from rageval.monitoring.store.schema import CONVERSATIONS, EVALUATIONS, FEEDBACK
from rageval.monitoring.traffic import Day, Material, TrafficConfig, simulate
from rageval.monitoring.watch import read_rules, watch

UNTIL = datetime(2026, 11, 24, tzinfo=UTC)
CHANGED = date(2026, 11, 10)
"""Halfway through the four weeks."""
USUAL = rates_on(CHANGED, ())


@pytest.fixture(scope="module")
def material() -> Material:
    corpus = load_corpus(DataConfig(filter_by="course"))
    return Material(corpus.questions, {document.document_id: document for document in corpus.documents}, "course")


@pytest.fixture(scope="module")
def days(material: Material) -> Callable[..., list[Day]]:
    @cache
    def call(*changes: str, per_day: int = 150, seed: int = 7) -> list[Day]:
        settings = {"per_day": per_day, "seed": seed, "changes": changes, "evaluated": True}
        return list(simulate(validate(TrafficConfig, settings), material, UNTIL))

    return call


def _share(days: Sequence[Day], aspect: str) -> tuple[int, int]:
    """Return how many had it, and of how many."""
    if aspect == "errors":
        found: list[bool] = [c.status == "failed" for day in days for c in day.conversations]
    elif aspect == "thumbs":
        found = [vote.thumbs == 1 for day in days for vote in day.votes]
    else:
        found = [e.value == 1 for day in days for e in day.evaluations if e.metric == aspect]
    return sum(found), len(found)


def _is_as_likely_as(hits: int, n: int, rate: float) -> bool:
    """Return whether a count is within four standard deviations: one in 16,000 such checks would fail by chance."""
    return abs(hits - n * rate) <= 4 * math.sqrt(n * rate * (1 - rate))


def _figures(days: Sequence[Day]) -> dict[str, list[Any]]:
    """Return everything that a change may move, conversation by conversation."""
    conversations = [c for day in days for c in day.conversations]

    def of_evaluations(metric: str) -> list[Any]:
        return [e.label for day in days for e in day.evaluations if e.metric == metric]

    return {
        "relevance": of_evaluations("relevance"),
        "faithfulness": of_evaluations("faithfulness"),
        "toxicity": of_evaluations("toxicity"),
        "thumbs": [(vote.thumbs, vote.voter) for day in days for vote in day.votes],
        "errors": [c.status for c in conversations],
        "topic": [c.question for c in conversations],
        "traffic": [c.asked_at for c in conversations],
        "latency": [c.model_s for c in conversations],
        "cost": [c.cost_usd for c in conversations],
        "scores": [c.contexts[0].score for c in conversations],
        "answers": [c.answer for c in conversations],
        "filter values": [(c.filter_value, c.system) for c in conversations],
    }


def test_the_rates_are_those_that_are_documented(days: Callable[..., list[Day]]) -> None:
    found = days()

    for aspect in ("relevance", "faithfulness", "toxicity", "thumbs", "errors"):
        assert _is_as_likely_as(*_share(found, aspect), getattr(USUAL, aspect)), aspect
    # 0.72 x 0.92 + 0.28 x (0.6 x 0.6 + 0.4 x 0.15) = 0.6624 + 0.28 x 0.42 = 0.78
    assert thumbs_up(Rates.quality) == pytest.approx(0.78)
    conversations = [c for day in found for c in day.conversations]
    assert abs(len(conversations) - 28 * 150) <= 4 * math.sqrt(28 * 150)  # Poisson: the variance is the mean
    answered = sum(c.status == "ok" for c in conversations)
    assert _is_as_likely_as(sum(len(day.votes) for day in found), answered, 0.25)
    small = [c.model_s for c in conversations if c.model == "small" and c.model_s]
    assert np.median(small) == pytest.approx(1.1, rel=0.05)
    assert np.std(np.log(small)) == pytest.approx(0.45, rel=0.05)
    weekend = [len(day.conversations) for day in found if day.conversations[0].asked_at.weekday() >= 5]
    assert np.mean(weekend) == pytest.approx(150 * 0.65, rel=0.1)


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ("relevance=-0.2", {"relevance"}),
        ("quality=-0.2", {"relevance", "thumbs", "answers"}),
        ("faithfulness=-0.3", {"faithfulness"}),
        ("toxicity=+0.05", {"toxicity", "answers"}),
        ("thumbs=-0.2", {"thumbs"}),
        ("errors=+0.1", {"errors", "relevance", "faithfulness", "toxicity", "thumbs", "answers", "cost"}),
        ("topic=+0.4", {"topic", "answers"}),
        ("latency=+0.5", {"latency"}),
        ("cost=+0.5", {"cost"}),
        ("scores=-0.2", {"scores"}),
    ],
)
def test_a_planted_change_moves_what_it_names_and_nothing_else(
    days: Callable[..., list[Day]], change: str, moved: set[str]
) -> None:
    plain, planted = days(per_day=50), days(f"{change}@{CHANGED}", per_day=50)

    def before(found: list[Day]) -> list[Day]:
        return [day for day in found if day.conversations[0].asked_at.date() < CHANGED]

    assert _figures(before(planted)) == _figures(before(plain))
    after, as_before = _figures(planted), _figures(plain)
    differ = {name for name in after if after[name] != as_before[name]}
    assert differ == moved


def test_a_planted_change_has_the_size_that_was_asked_for(days: Callable[..., list[Day]]) -> None:
    changes = ("relevance=-0.2", "thumbs=-0.3", "errors=+0.1", "traffic=+0.5", "topic=+0.4", "latency=+0.5")
    after = days(*(f"{change}@{CHANGED}" for change in changes))[14:]

    for aspect, rate in {
        "relevance": USUAL.relevance - 0.2, "thumbs": USUAL.thumbs - 0.3, "errors": USUAL.errors + 0.1,
        "faithfulness": USUAL.faithfulness,
    }.items():  # fmt: skip
        assert _is_as_likely_as(*_share(after, aspect), rate), aspect
    conversations = [c for day in after for c in day.conversations]
    assert abs(len(conversations) - 14 * 225) <= 4 * math.sqrt(14 * 225)
    small = [c.model_s for c in conversations if c.model == "small" and c.model_s]
    assert np.median(small) == pytest.approx(1.1 * 1.5, rel=0.05)


def test_shares_stay_shares_whatever_is_planted(days: Callable[..., list[Day]]) -> None:
    found = days("errors=+1@2026-01-01", "errors=+1@2026-01-01", "traffic=-0.9@2026-01-01", per_day=40)
    assert {c.status for day in found for c in day.conversations} == {"failed"}
    assert all(c.answer is None and c.error and c.cost_usd is None for day in found for c in day.conversations)
    assert not any(day.votes or day.evaluations for day in found)
    assert not any(day.conversations for day in days("traffic=-1@2026-01-01"))
    up = days("thumbs=+1@2026-01-01", "toxicity=+1@2026-01-01", per_day=40)
    assert {vote.thumbs for day in up for vote in day.votes} == {1}


def test_the_same_settings_are_stored_once_and_another_seed_beside_them(
    database: Database, days: Callable[..., list[Day]]
) -> None:
    config = TrafficConfig(per_day=20, seed=7)
    first = simulate_traffic(database, config, UNTIL)
    assert first.new_conversations == first.conversations > 400
    assert first.new_votes == first.votes > 80
    assert first.evaluations == 0

    again = simulate_traffic(database, config.model_copy(update={"evaluated": True}), UNTIL)
    assert (again.conversations, again.new_conversations, again.new_votes) == (first.conversations, 0, 0)
    assert again.new_evaluations == again.evaluations > 1000
    # A shorter stretch of the same traffic is a part of it.
    shorter = simulate_traffic(database, config.model_copy(update={"weeks": 1}), UNTIL)
    assert (shorter.new_conversations, shorter.new_votes) == (0, 0)
    other = simulate_traffic(database, config.model_copy(update={"seed": 8}), UNTIL)
    assert other.new_conversations == other.conversations

    with database.reading() as connection:
        (stored,) = connection.execute(sa.select(sa.func.count()).select_from(CONVERSATIONS)).one()
        sources = set(connection.scalars(sa.select(CONVERSATIONS.c.source).distinct()))
        votes = connection.scalar(sa.select(sa.func.count()).select_from(FEEDBACK))
        metrics = connection.execute(
            sa.select(EVALUATIONS.c.metric, sa.func.count()).group_by(EVALUATIONS.c.metric)
        ).all()  # fmt: skip
    assert (stored, sources) == (first.conversations + other.conversations, {"simulated"})
    assert votes == first.votes + other.votes
    assert dict(metrics) == dict.fromkeys(("relevance", "faithfulness", "toxicity"), again.evaluations // 3)


def test_what_a_wrong_answer_was_shown_lacks_the_right_document(
    days: Callable[..., list[Day]], material: Material
) -> None:
    rows = Counter(question.question for question in material.questions)
    right = {question.question: question.made_from for question in material.questions}
    verdicts = {e.conversation_id: e.label for day in days() for e in day.evaluations if e.metric == "relevance"}

    def found(conversation: Conversation) -> bool:
        return right[conversation.question] in [context.document_id for context in conversation.contexts]

    conversations = [c for day in days() for c in day.conversations if c.status == "ok" and rows[c.question] == 1]
    assert {found(c) for c in conversations if verdicts[c.conversation_id] == "NON_RELEVANT"} == {False}
    assert {found(c) for c in conversations if verdicts[c.conversation_id] != "NON_RELEVANT"} == {True}


@pytest.mark.parametrize("change", ["relevance", "relevance=-0.2", "speed=+1@2026-11-10", "errors=+2@2026-11-10"])
def test_a_change_that_is_none_is_refused_with_what_is_expected(change: str) -> None:
    with pytest.raises(ConfigError, match=r"such as relevance=-0\.2@2026-11-10"):
        validate(TrafficConfig, {"changes": [change]})


def test_the_command_says_what_it_stored_and_what_is_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONITORING_DATABASE_URL", f"sqlite:///{tmp_path / 'm.db'}")
    words = "--weeks 1 --per-day 10 --seed 7 --until 2026-11-24 --evaluated --change errors=+0.1@2026-11-20"
    monkeypatch.setattr(sys, "argv", ["rageval", "simulate", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()

    assert not ended.value.code
    out = capfd.readouterr().out
    with connect(f"sqlite:///{tmp_path / 'm.db'}").reading() as connection:
        stored = connection.scalar(sa.select(sa.func.count()).select_from(CONVERSATIONS))
    assert f"conversations │        {stored} │" in out
    assert "Planted: errors=+0.1@2026-11-20" in out


@pytest.mark.parametrize(
    ("changes", "raised"),
    [
        ((), set()),
        (("quality=-0.35",), {"relevance"}),
        (("thumbs=-0.4", "errors=+0.15", "scores=-0.15"), {"thumbs down", "errors", "retrieval scores"}),
        (
            ("relevance=-0.35", "faithfulness=-0.45", "toxicity=+0.1", "latency=+9", "cost=+199"),
            {"relevance", "faithfulness", "toxicity", "latency", "cost"},
        ),
    ],
)
def test_the_alerts_that_come_with_the_project_show_what_is_planted_and_only_that(
    tmp_path: Path, changes: tuple[str, ...], raised: set[str]
) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'm.db'}")
    settings = {"weeks": 3, "per_day": 100, "evaluated": True, "changes": [f"{c}@2026-11-21" for c in changes]}
    simulate_traffic(database, validate(TrafficConfig, settings), UNTIL)
    # So few questions an hour decide nothing: their rules look at days.
    rules = [
        rule.model_copy(update={"window_hours": max(24, rule.window_hours)})
        for rule in read_rules(MonitoringConfig().alerts.rules)
    ]

    alerts = watch(database, MonitoringConfig(), tuple(rules), UNTIL)

    assert {alert.rule for alert in alerts} == raised
    assert all(alert.window_end.date() > date(2026, 11, 21) for alert in alerts)
