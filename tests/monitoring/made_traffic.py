"""Weeks of conversations, votes, verdicts, alerts and runs with all that panels tell apart, from a fixed seed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pandas as pd
import sqlalchemy as sa

from rageval.metrics.catalogue import of_kind
from rageval.metrics.metric import JudgeMetric
from rageval.monitoring.records import Conversation, Evaluation, ShownContext, Vote
from rageval.monitoring.store.conversations import add_conversations, add_evaluations, add_votes
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.schema import ALERTS, RUN_METRICS, RUNS, TOPICS

END = datetime(2026, 11, 1, 15, 30, tzinfo=UTC)
DAYS = 20
FILTER_VALUES = ("", "it's a course", "mlops")
SYSTEMS = ("large", "small")
"""Both are made of the same model."""
LABELS = {
    "relevance": ("RELEVANT", "PARTLY_RELEVANT", "NON_RELEVANT"),
    "faithfulness": ("FAITHFUL", "PARTLY_FAITHFUL", "UNFAITHFUL"),
    "toxicity": ("NOT_TOXIC", "TOXIC"),
    "language": ("en", "de"),
    "topic": ("1-0", "1-1", "1-2"),
}


def conversations(number: int = 500) -> list[Conversation]:
    random = np.random.default_rng(7)
    return [_conversation(i, random) for i in range(number)]


def fill(database: Database, number: int = 500) -> None:
    """Store the traffic; the same in every database."""
    random = np.random.default_rng(8)
    made = conversations(number)
    add_conversations(database, made)
    add_votes(
        database,
        [
            Vote(conversation_id=c.conversation_id, voter=f"user {voter}", thumbs=1 if random.random() < 0.7 else -1,
                 given_at=c.asked_at + timedelta(hours=30), comment="Too short." if random.random() < 0.3 else None)
            for c in made if c.status == "ok"
            for voter in range(int(random.integers(0, 3)))
        ],
    )  # fmt: skip
    add_evaluations(
        database,
        [
            _evaluation(c, metric, version, random)
            for n, c in enumerate(made) if c.status == "ok"
            for metric in LABELS
            for version in ("1", "2")
            if _is_judged(c, n, version)
        ],
    )  # fmt: skip
    with database.writing() as connection:
        connection.execute(sa.insert(TOPICS), [
            {"topic": topic, "version": "1", "title": f"What is {topic}?", "centre": [1.0], "embedding_model": "m",
             "made_at": END} for topic in LABELS["topic"][:2]
        ])  # fmt: skip
        connection.execute(sa.insert(ALERTS), [
            {"rule": f"errors {filter_value} {system}", "window_start": END - timedelta(days=day),
             "window_end": END - timedelta(days=day - 1), "value": 0.2, "bound": 0.1, "n": 40,
             "message": "Too many failed.", "filter_value": filter_value, "system": system, "raised_at": END}
            for day in (2, 30)
            for filter_value in ("", "it's a course", "mlops", "silent")
            for system in ("", *SYSTEMS)
        ])  # fmt: skip
        for day in (1, 3, 40):
            run = f"nightly-{day}"
            connection.execute(sa.insert(RUNS), {
                "run_id": run, "started_at": END - timedelta(days=day), "status": "complete",
                "filter_value": "mlops" if day == 1 else "it's a course",
                "questions": 50, "cost_usd": 0.5 + day, "wall_s": 100.0, "folder": "runs", "published_at": END,
            })  # fmt: skip
            connection.execute(sa.insert(RUN_METRICS), [
                {"run_id": run, "system": system, "retriever": "", "metric": metric, "n": 50, "n_scored": 49,
                 "n_failed": 1, "mean": 0.5 + day / 100, "ci_low": 0.4, "ci_high": 0.7}
                for system, metric in [("large", "cosine"), ("small", "cosine"), ("small", "correctness"),
                                      *(("large", judged.name) for judged in of_kind(JudgeMetric)),
                                      ("", "hit_rate@5"), ("", "mrr@5")]
            ])  # fmt: skip


def frame(database: Database, table: str) -> pd.DataFrame:
    """Return a whole table, its times with their zone."""
    with database.reading() as connection:
        found = pd.read_sql(sa.text(f"select * from {table}"), connection)
    for column in ("asked_at", "given_at", "evaluated_at"):
        if column in found:
            found[column] = pd.to_datetime(found[column], utc=True)
    if "filter_value" in found:
        found["filter_value"] = found["filter_value"].replace("", "no filter")
    return found


def _is_judged(c: Conversation, number: int, version: str) -> bool:
    """Version 2 begins eight days before the end; in the last six, version 1 judges every other conversation only."""
    if version == "2":
        return c.asked_at >= END - timedelta(days=8)
    return c.asked_at < END - timedelta(days=6) or number % 2 == 0


def _conversation(i: int, random: np.random.Generator) -> Conversation:
    failed = bool(random.random() < 0.06)
    asked = END - timedelta(days=DAYS) * float(random.random())
    system = str(random.choice(SYSTEMS, p=[0.3, 0.7]))
    made = Conversation(
        conversation_id=str(UUID(int=i + 1)),
        asked_at=asked.replace(microsecond=int(random.integers(0, 1_000_000))),
        question="<script>alert(1)</script>?" if i == 5 else f"What is {i}?",
        filter_value=str(random.choice(FILTER_VALUES, p=[0.2, 0.5, 0.3])),
        status="failed" if failed else "ok",
        answer=None if failed else f"It is {i}.",
        error=str(random.choice(["HTTP 429: slow down", "no reply within 60 s"])) if failed else None,
        system=system,
        model="m",
        retriever="hybrid",
        prompt_version="2" if asked >= END - timedelta(days=3) else "1",
        contexts=(ShownContext(document_id="d", score=0.5, section="s", question="q", text="t"),),
        prompt_tokens=None if failed else int(random.integers(500, 900)),
        completion_tokens=None if failed else int(random.integers(20, 90)),
        cost_usd=None if failed or random.random() < 0.1 else float(random.random()) / 1000,
        total_s=float(random.lognormal(0.4, 0.7)),
        source="simulated",
    )
    # Some were asked of an app that did not measure its search.
    search_s = None if i % 9 == 0 else 0.1 * made.total_s
    return replace(made, search_s=search_s, model_s=None if failed else (0.5 + 0.01 * (i % 30)) * made.total_s)


def _evaluation(c: Conversation, metric: str, version: str, random: np.random.Generator) -> Evaluation:
    broken = bool(random.random() < 0.05)
    label = str(random.choice(LABELS[metric]))
    return Evaluation(
        conversation_id=c.conversation_id,
        metric=metric,
        metric_version=version,
        judge="judge",
        status="unscored" if broken else "ok",
        value=None if broken else 1.0,
        label=None if broken else label,
        reason="Because.",
        evaluated_at=c.asked_at + timedelta(hours=1 if version == "1" else 2),
    )
