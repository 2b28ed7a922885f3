"""Conversations that went badly, and what a person decided about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from rageval.errors import DataError
from rageval.metrics import catalogue
from rageval.monitoring.records import Conversation
from rageval.monitoring.store.conversations import conversation, insert
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.schema import CONVERSATIONS, EVALUATIONS, FEEDBACK, REVIEWS

LOW = 0.5
"""A verdict below it is a bad one."""
_FEWEST = 8


@dataclass(frozen=True, kw_only=True)
class Case:
    """A conversation that went badly, and what speaks against it."""

    conversation: Conversation
    thumbs_down: int
    thumbs_up: int
    comments: tuple[str, ...]
    verdicts: tuple[tuple[str, str, str], ...]
    """Metric, label and reason of each bad verdict."""


@dataclass(frozen=True, kw_only=True)
class Review:
    """What a person decided about a conversation."""

    conversation_id: str
    decision: Literal["accepted", "dismissed"]
    question: str | None = None
    """As accepted."""
    document_ids: tuple[str, ...] = ()
    ground_truth: str | None = None
    """File of the version that it was written to."""
    reviewed_at: datetime


def open_cases(database: Database, since: datetime, limit: int) -> list[Case]:
    """Return the answered conversations since a time that nobody has reviewed and users or judges found bad.

    Worst first: a thumbs down counts as much as the worst verdict of either kind; then the latest first.

    Args:
        database: Where they are.
        since: With its zone.
        limit: The most that are returned.
    """
    votes = (
        sa.select(
            FEEDBACK.c.conversation_id,
            sa.func.sum(sa.case((FEEDBACK.c.thumbs < 0, 1), else_=0)).label("down"),
            sa.func.sum(sa.case((FEEDBACK.c.thumbs > 0, 1), else_=0)).label("up"),
        )
        .where(FEEDBACK.c.source == "user", FEEDBACK.c.given_at >= since)
        .group_by(FEEDBACK.c.conversation_id)
        .subquery()
    )
    judged = _judged()
    worst = {
        metric: sa.func.min(sa.case((EVALUATIONS.c.metric == metric, EVALUATIONS.c.value))).label(metric)
        for metric in judged
    }
    verdicts = (
        sa.select(EVALUATIONS.c.conversation_id, *worst.values())
        .where(EVALUATIONS.c.metric.in_(judged), EVALUATIONS.c.asked_at >= since, EVALUATIONS.c.status == "ok")
        .group_by(EVALUATIONS.c.conversation_id)
        .subquery()
    )
    down = sa.func.coalesce(votes.c.down, 0)
    values = [sa.func.coalesce(verdicts.c[metric], 1.0) for metric in judged]
    badness = sa.case((down > 0, 1.0), else_=0.0) + sum((1.0 - value for value in values), sa.literal(0.0))
    wanted = (
        sa.select(CONVERSATIONS, down.label("down"), sa.func.coalesce(votes.c.up, 0).label("up"))
        .outerjoin(votes, votes.c.conversation_id == CONVERSATIONS.c.conversation_id)
        .outerjoin(verdicts, verdicts.c.conversation_id == CONVERSATIONS.c.conversation_id)
        .outerjoin(REVIEWS, REVIEWS.c.conversation_id == CONVERSATIONS.c.conversation_id)
        .where(CONVERSATIONS.c.asked_at >= since, CONVERSATIONS.c.status == "ok", REVIEWS.c.conversation_id.is_(None))
        .where(sa.or_(down > 0, *(value < LOW for value in values)))
        .order_by(badness.desc(), CONVERSATIONS.c.asked_at.desc(), CONVERSATIONS.c.conversation_id)
        .limit(limit)
    )
    with database.reading() as connection:
        rows = [dict(row) for row in connection.execute(wanted).mappings()]
        ids = [row["conversation_id"] for row in rows]
        comments = _comments(connection, ids)
        bad = _bad_verdicts(connection, ids)
    return [
        Case(
            conversation=conversation(row),
            thumbs_down=int(row["down"]),
            thumbs_up=int(row["up"]),
            comments=tuple(comments.get(row["conversation_id"], ())),
            verdicts=tuple(bad.get(row["conversation_id"], ())),
        )
        for row in rows
    ]


def find_conversation(database: Database, name: str) -> Conversation:
    """Return a conversation by its id, or by as many of its first characters as no other one shares.

    Raises:
        DataError: If there is none, there are several, or fewer than eight characters are given.
    """
    id_ = CONVERSATIONS.c.conversation_id
    with database.reading() as connection:
        wanted = sa.select(CONVERSATIONS).where(id_.startswith(name, autoescape=True)).order_by(id_).limit(2)
        found = [dict(row) for row in connection.execute(wanted).mappings()] if len(name) >= _FEWEST else []
    if not found:
        raise DataError(
            f"there is no conversation {name[:40]!r} in {database.name}; give its id, or the first {_FEWEST} "
            "characters of it or more, as `rageval feedback review` lists them"
        )
    if len(found) > 1:
        raise DataError(f"several conversations begin with {name[:40]!r}; give more characters of its id")
    return conversation(found[0])


def read_review(database: Database, conversation_id: str) -> Review | None:
    """Return what was decided about a conversation, or None if nothing was."""
    with database.reading() as connection:
        found = connection.execute(
            sa.select(REVIEWS).where(REVIEWS.c.conversation_id == conversation_id)
        ).mappings().one_or_none()  # fmt: skip
    return Review(**{**found, "document_ids": tuple(found["document_ids"] or ())}) if found else None


def write_review(database: Database, review: Review) -> None:
    """Store what was decided about a conversation, in place of what was decided before.

    Raises:
        DataError: If there is no such conversation.
    """
    row = {name: getattr(review, name) for name in Review.__dataclass_fields__}
    row["document_ids"] = list(review.document_ids)
    statement = insert(database, REVIEWS).values(row | {"reviewed_at": review.reviewed_at.astimezone(UTC)})
    with database.writing() as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=REVIEWS.primary_key.columns, set_=row))


def _judged() -> list[str]:
    """Return the metrics of which a low value speaks against an answer."""
    return [metric.name for metric in catalogue.online() if metric.higher_is_better]


def _comments(connection: sa.Connection, ids: Sequence[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in connection.execute(
        sa.select(FEEDBACK.c.conversation_id, FEEDBACK.c.comment)
        .where(FEEDBACK.c.conversation_id.in_(ids), FEEDBACK.c.comment.is_not(None), FEEDBACK.c.thumbs < 0)
        .order_by(FEEDBACK.c.given_at)
    ):
        found.setdefault(row.conversation_id, []).append(row.comment)
    return found


def _bad_verdicts(connection: sa.Connection, ids: Sequence[str]) -> Mapping[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {}
    columns: Any = EVALUATIONS.c
    for row in connection.execute(
        sa.select(columns.conversation_id, columns.metric, columns.label, columns.reason)
        .where(columns.conversation_id.in_(ids), columns.metric.in_(_judged()), columns.status == "ok")
        .where(columns.value < LOW)
        .order_by(columns.metric.desc(), columns.evaluated_at)
    ):
        found.setdefault(row.conversation_id, []).append((row.metric, row.label or "", row.reason or ""))
    return found
