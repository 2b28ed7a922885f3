"""Conversations, votes and evaluations in the monitoring database: written once however often they are sent."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rageval.adapters.monitoring.database import Database
from rageval.adapters.monitoring.schema import CONVERSATIONS, EVALUATIONS, FEEDBACK
from rageval.fingerprint import draw
from rageval.monitoring.buckets import bucket
from rageval.monitoring.records import Conversation, Evaluation, ShownContext, Vote

_AT_ONCE = 1000
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


def add_conversations(database: Database, conversations: Iterable[Conversation]) -> int:
    """Store conversations; returns how many were new. One that is known by its id stays as it is.

    Raises:
        ServiceError: If the database cannot be used; then none is stored.
    """
    rows = [_row(conversation) for conversation in conversations]
    with database.writing() as connection:
        return _execute(connection, insert(database, CONVERSATIONS).on_conflict_do_nothing(), CONVERSATIONS, rows)


def read_conversation(database: Database, conversation_id: str) -> Conversation | None:
    """Return a conversation, or None if there is none of that id."""
    with database.reading() as connection:
        found = connection.execute(
            sa.select(CONVERSATIONS).where(CONVERSATIONS.c.conversation_id == conversation_id)
        ).mappings().one_or_none()  # fmt: skip
    return conversation(dict(found)) if found else None


def known_conversations(database: Database, ids: Iterable[str]) -> set[str]:
    """Return which of these ids are those of stored conversations."""
    with database.reading() as connection:
        return set(_known(connection, ids))


def add_votes(database: Database, votes: Iterable[Vote]) -> int:
    """Store votes; a voter's vote on a conversation replaces an earlier one, if it was given later.

    Returns:
        How many votes are stored now that were not before, or are others than before. Votes on conversations that are
        not stored are left out.
    """
    rows = _latest((_storable(vote) for vote in votes), FEEDBACK, "given_at")
    statement = insert(database, FEEDBACK)
    changed = {name: statement.excluded[name] for name in ("thumbs", "comment", "label", "given_at")}
    statement = statement.on_conflict_do_update(
        index_elements=FEEDBACK.primary_key.columns,
        set_=changed,
        where=FEEDBACK.c.given_at < statement.excluded.given_at,
    )
    with database.writing() as connection:
        facts = _known(connection, {row["conversation_id"] for row in rows})
        rows = [{**row, **facts[row["conversation_id"]]} for row in rows if row["conversation_id"] in facts]
        return _execute(connection, statement, FEEDBACK, rows)


def add_evaluations(database: Database, evaluations: Iterable[Evaluation]) -> int:
    """Store evaluations, each once a metric, version and judge; one that did not fail is never replaced.

    Returns:
        How many were stored. Those of conversations that are gone are left out.
    """
    rows = _latest((_storable(evaluation) for evaluation in evaluations), EVALUATIONS, "evaluated_at")
    statement = insert(database, EVALUATIONS)
    changed = {column.name: statement.excluded[column.name] for column in EVALUATIONS.c if not column.primary_key}
    statement = statement.on_conflict_do_update(
        index_elements=EVALUATIONS.primary_key.columns, set_=changed, where=EVALUATIONS.c.status == "failed"
    )
    with database.writing() as connection:
        facts = _known(connection, {row["conversation_id"] for row in rows})
        rows = [{**row, **facts[row["conversation_id"]]} for row in rows if row["conversation_id"] in facts]
        return _execute(connection, statement, EVALUATIONS, rows)


def forget(database: Database, conversation_id: str) -> bool:
    """Delete a conversation and everything about it; returns whether it was there."""
    with database.writing() as connection:
        gone = connection.execute(sa.delete(CONVERSATIONS).where(CONVERSATIONS.c.conversation_id == conversation_id))
        return bool(gone.rowcount)


def forget_before(database: Database, time: datetime) -> int:
    """Delete all conversations that are older; returns how many."""
    with database.writing() as connection:
        return int(connection.execute(sa.delete(CONVERSATIONS).where(CONVERSATIONS.c.asked_at < time)).rowcount)


def without_evaluation(
    database: Database, metric: str, version: str, judge: str, *, since: datetime, limit: int, share: float = 1.0
) -> list[Conversation]:
    """Return answered conversations that a metric has not been computed for, oldest first; failed ones again, last.

    Args:
        database: Where they are.
        metric: Name of the metric.
        version: Its version; what another version said does not count.
        judge: Label of the judge, or empty.
        since: Older ones are left alone.
        limit: The most that are returned.
        share: Only this share of all conversations, drawn by their ids: the same ones whenever it is drawn again.
    """
    mine = sa.and_(
        EVALUATIONS.c.conversation_id == CONVERSATIONS.c.conversation_id,
        EVALUATIONS.c.metric == metric,
        EVALUATIONS.c.metric_version == version,
        EVALUATIONS.c.judge == judge,
    )
    open_ones = (
        sa.select(CONVERSATIONS.c.conversation_id)
        .outerjoin(EVALUATIONS, mine)
        .where(CONVERSATIONS.c.status == "ok", CONVERSATIONS.c.asked_at >= since)
        .where(sa.or_(EVALUATIONS.c.status.is_(None), EVALUATIONS.c.status == "failed"))
        .order_by(EVALUATIONS.c.status.is_not(None), CONVERSATIONS.c.asked_at, CONVERSATIONS.c.conversation_id)
    )
    with database.reading() as connection:
        drawn = (id_ for id_ in connection.execute(open_ones).scalars() if draw("evaluated", id_) < share)
        ids = list(islice(drawn, limit))
        found = {
            row["conversation_id"]: conversation(dict(row))
            for start in range(0, len(ids), _AT_ONCE)
            for row in connection.execute(
                sa.select(CONVERSATIONS).where(CONVERSATIONS.c.conversation_id.in_(ids[start : start + _AT_ONCE]))
            ).mappings()
        }
    return [found[id_] for id_ in ids if id_ in found]


def insert(database: Database, table: sa.Table) -> Any:
    """Return an insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return (postgresql if database.is_postgres else sqlite).insert(table)


def conversation(row: Mapping[str, Any]) -> Conversation:
    """Return the record of a row of `conversations`."""
    fields = {name: row[name] for name in Conversation.__dataclass_fields__}
    return Conversation(**{**fields, "contexts": tuple(ShownContext(**context) for context in row["contexts"])})


def _row(conversation: Conversation) -> dict[str, Any]:
    row: dict[str, Any] = _storable(conversation)
    top = conversation.contexts[0].score if conversation.contexts else None
    return {**row, "top_score": top, "latency_bucket": bucket(conversation.total_s)}


def _known(connection: sa.Connection, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what votes and evaluations repeat of those of the conversations that are stored."""
    columns = (CONVERSATIONS.c.asked_at, CONVERSATIONS.c.course, CONVERSATIONS.c.model)
    wanted: Sequence[str] = sorted(ids)
    return {
        row["conversation_id"]: {column.name: row[column.name] for column in columns}
        for start in range(0, len(wanted), _AT_ONCE)
        for row in connection.execute(
            sa.select(CONVERSATIONS.c.conversation_id, *columns).where(
                CONVERSATIONS.c.conversation_id.in_(wanted[start : start + _AT_ONCE])
            )
        ).mappings()
    }


def _latest(rows: Iterable[dict[str, Any]], table: sa.Table, time: str) -> list[dict[str, Any]]:
    """Return one row a key, the latest: one statement cannot change the same row twice."""
    names = [column.name for column in table.primary_key.columns]
    return list({tuple(row[name] for name in names): row for row in sorted(rows, key=itemgetter(time))}.values())


def _execute(connection: sa.Connection, statement: Any, table: sa.Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows; returns how many were stored or changed."""
    returning = statement.returning(*table.primary_key.columns)
    parts = (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
    return sum(len(connection.execute(returning, part).all()) for part in parts)


def _storable(value: Any) -> Any:
    """Return a row with the characters that Postgres does not take in any text replaced: NUL and halves of pairs."""
    match value:
        case str():
            is_plain = value.isascii() and "\0" not in value  # most are, and this is quick
            return value if is_plain else _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", value)
        case Conversation() | ShownContext() | Vote() | Evaluation():
            return {name: _storable(item) for name, item in vars(value).items()}
        case list() | tuple():
            return [_storable(item) for item in value]
        case _:
            return value
