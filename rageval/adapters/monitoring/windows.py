"""The monitoring database -> what a window of time holds: counts, sums and lists, of one course or model or of all.

Of several verdicts on one conversation, by several judges or versions, the latest one counts.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rageval.adapters.monitoring.database import Database
from rageval.adapters.monitoring.schema import CONVERSATIONS, EVALUATIONS, FEEDBACK
from rageval.monitoring.windows import Share, Window

_C = CONVERSATIONS.c
_E = EVALUATIONS.c
MOST_SCORES = 20_000
"""Retrieval scores that are read of one window; of more conversations, those whose ids come first."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which conversations are meant."""

    window: Window
    course: str = ""
    """Empty for all."""
    model: str = ""
    """Empty for all."""

    def of(self, columns: Any) -> list[Any]:
        """Return the conditions on a table's columns `asked_at`, `course` and `model`."""
        found = [columns.asked_at >= self.window.start, columns.asked_at < self.window.end]
        found += [columns.course == self.course] if self.course else []
        return [*found, *([columns.model == self.model] if self.model else [])]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What conversations cost."""

    usd: float
    priced: int
    """Conversations whose price is known; the sum says nothing of the others."""
    n: int


def first_asked(database: Database) -> datetime | None:
    """Return when the first conversation began that is stored, or None if there is none."""
    with database.reading() as connection:
        found: datetime | None = connection.execute(sa.select(sa.func.min(_C.asked_at))).scalar_one()
    return found


def errors(database: Database, asked: Asked) -> Share:
    """Return how many questions failed."""
    return _share(database, sa.select(sa.func.count(), _count(_C.status == "failed")).where(*asked.of(_C)))


def cost(database: Database, asked: Asked) -> Cost:
    """Return what the answers cost."""
    wanted = sa.select(sa.func.count(), sa.func.count(_C.cost_usd), sa.func.sum(_C.cost_usd)).where(*asked.of(_C))
    with database.reading() as connection:
        n, priced, total = connection.execute(wanted).one()
    return Cost(usd=float(total or 0.0), priced=priced, n=n)


def latency_buckets(database: Database, asked: Asked) -> dict[int, int]:
    """Return how many answered questions took how long, by the buckets of `rageval.monitoring.buckets`."""
    wanted = sa.select(_C.latency_bucket, sa.func.count()).where(*asked.of(_C), _C.status == "ok")
    with database.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(wanted.group_by(_C.latency_bucket))}


def labels(database: Database, metric: str, asked: Asked, *, version: str | None = None) -> dict[str, int]:
    """Return how many conversations have which label.

    Args:
        database: Where they are.
        metric: Whose labels.
        asked: Which conversations.
        version: Of the metric; None for any.
    """
    latest = _latest(metric, asked, version).subquery()
    wanted = sa.select(latest.c.label, sa.func.count()).where(latest.c.place == 1).group_by(latest.c.label)
    with database.reading() as connection:
        return {label: n for label, n in connection.execute(wanted) if label is not None}


def latest_version(database: Database, metric: str, asked: Asked) -> str | None:
    """Return the version of a metric that was computed last, or None if there is none."""
    wanted = sa.select(_E.metric_version).where(_E.metric == metric, _E.status == "ok", *asked.of(_E))
    with database.reading() as connection:
        return connection.execute(
            wanted.order_by(_E.evaluated_at.desc(), _E.metric_version.desc()).limit(1)
        ).scalar_one_or_none()


def thumbs_down(database: Database, asked: Asked) -> Share:
    """Return how many of the users' votes are thumbs down; a vote belongs to the time of its question."""
    wanted = sa.select(sa.func.count(), _count(FEEDBACK.c.thumbs < 0))
    return _share(database, wanted.where(FEEDBACK.c.source == "user", *asked.of(FEEDBACK.c)))


def votes(database: Database, asked: Asked) -> list[tuple[str, str, int]]:
    """Return every user's vote on an answer that was judged: the verdict on its relevance, its id, and the vote."""
    latest = _latest("relevance", asked, None).subquery()
    wanted = (
        sa.select(latest.c.label, FEEDBACK.c.conversation_id, FEEDBACK.c.thumbs)
        .join(latest, latest.c.conversation_id == FEEDBACK.c.conversation_id)
        .where(FEEDBACK.c.source == "user", latest.c.place == 1)
        .order_by(FEEDBACK.c.conversation_id, FEEDBACK.c.voter)
    )
    with database.reading() as connection:
        return [(label, conversation, thumbs) for label, conversation, thumbs in connection.execute(wanted)]


def usual_search_method(database: Database, asked: Asked) -> str | None:
    """Return the search method that most questions were answered with, or None if there are no questions."""
    wanted = (
        sa.select(_C.search_method)
        .where(*asked.of(_C), _C.top_score.is_not(None))
        .group_by(_C.search_method)
        .order_by(sa.func.count().desc(), _C.search_method)
        .limit(1)
    )
    with database.reading() as connection:
        return connection.execute(wanted).scalar_one_or_none()


def top_scores(database: Database, asked: Asked, search_method: str) -> list[float]:
    """Return the score of the best document of each question, of one search method: scores of two mean two things."""
    wanted = (
        sa.select(_C.top_score)
        .where(*asked.of(_C), _C.top_score.is_not(None), _C.search_method == search_method)
        .order_by(_C.conversation_id)
        .limit(MOST_SCORES)
    )
    with database.reading() as connection:
        return [float(score) for score in connection.execute(wanted).scalars()]


def recent_questions(database: Database, asked: Asked, limit: int) -> list[str]:
    """Return different questions, those that were asked last."""
    last = sa.func.max(_C.asked_at)
    wanted = sa.select(_C.question).where(*asked.of(_C)).group_by(_C.question).order_by(last.desc(), _C.question)
    with database.reading() as connection:
        return list(connection.execute(wanted.limit(limit)).scalars())


def _latest(metric: str, asked: Asked, version: str | None) -> Any:
    """Return every verdict of a metric, numbered for each conversation from the latest one on."""
    place = sa.func.row_number().over(
        partition_by=_E.conversation_id, order_by=(_E.evaluated_at.desc(), _E.metric_version, _E.judge)
    )
    wanted = sa.select(_E.conversation_id, _E.label, place.label("place")).where(
        _E.metric == metric, _E.status == "ok", *asked.of(_E)
    )
    return wanted if version is None else wanted.where(_E.metric_version == version)


def _count(condition: Any) -> Any:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _share(database: Database, wanted: Any) -> Share:
    with database.reading() as connection:
        n, hits = connection.execute(wanted).one()
    return Share(hits=int(hits), n=int(n))
