"""Conversations, votes and evaluations in the monitoring database: written once however often they are sent.

What was forgotten stays so. Its id is noted, and no conversation of that id is stored any more, whoever still has it in
memory or in a spool; without a conversation there are no votes and no evaluations. Whoever stores shares a lock with
the others that do, and `forget` has it alone, so neither happens while the other is halfway.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rageval.monitoring.buckets import bucket
from rageval.monitoring.records import Conversation, Evaluation, ShownContext, Vote
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.schema import CONVERSATIONS, EVALUATIONS, FEEDBACK, FORGOTTEN, TOPICS
from rageval.text.fingerprint import draw

_AT_ONCE = 1000
_FORGETTING = 7262
"""Number of the lock in Postgres."""
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")


def add_conversations(database: Database, conversations: Iterable[Conversation]) -> int:
    """Store conversations; returns how many were new. One that is known by its id stays, one that was forgotten too.

    Raises:
        ServiceError: If the database cannot be used; then none is stored.
    """
    rows = [_row(conversation) for conversation in conversations]
    with _storing(database) as connection:
        gone = _forgotten(connection, {row["conversation_id"] for row in rows})
        rows = [row for row in rows if row["conversation_id"] not in gone]
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


def forgotten_conversations(database: Database, ids: Iterable[str]) -> set[str]:
    """Return which of these ids are those of forgotten conversations."""
    with database.reading() as connection:
        return _forgotten(connection, ids)


def add_votes(database: Database, votes: Iterable[Vote]) -> int:
    """Store votes; a voter's vote on a conversation replaces an earlier one, if it was given later.

    Returns:
        How many votes are stored now that were not before, or are others than before. Votes on conversations that are
        not stored are left out.
    """
    rows = _latest(map(_fields, votes), FEEDBACK, "given_at")
    statement = insert(database, FEEDBACK)
    changed = {name: statement.excluded[name] for name in ("thumbs", "comment", "label", "given_at")}
    statement = statement.on_conflict_do_update(
        index_elements=FEEDBACK.primary_key.columns,
        set_=changed,
        where=FEEDBACK.c.given_at < statement.excluded.given_at,
    )
    with _storing(database) as connection:
        facts = _known(connection, {row["conversation_id"] for row in rows})
        rows = [{**row, **facts[row["conversation_id"]]} for row in rows if row["conversation_id"] in facts]
        return _execute(connection, statement, FEEDBACK, rows)


def add_evaluations(database: Database, evaluations: Iterable[Evaluation]) -> int:
    """Store evaluations, each once a metric, version and judge; one that has a verdict is never replaced.

    Returns:
        How many were stored. Those of conversations that are gone are left out.
    """
    rows = _latest(map(_fields, evaluations), EVALUATIONS, "evaluated_at")
    statement = insert(database, EVALUATIONS)
    changed = {column.name: statement.excluded[column.name] for column in EVALUATIONS.c if not column.primary_key}
    statement = statement.on_conflict_do_update(
        index_elements=EVALUATIONS.primary_key.columns, set_=changed, where=EVALUATIONS.c.status != "ok"
    )
    with _storing(database) as connection:
        facts = _known(connection, {row["conversation_id"] for row in rows})
        rows = [{**row, **facts[row["conversation_id"]]} for row in rows if row["conversation_id"] in facts]
        return _execute(connection, statement, EVALUATIONS, rows)


def forget(database: Database, conversation_id: str) -> bool:
    """Delete a conversation and everything about it, for good; returns whether it was there.

    A topic that is named by its question is called by its id from then on.
    """
    this = CONVERSATIONS.c.conversation_id == conversation_id
    note = {"conversation_id": conversation_id, "forgotten_at": datetime.now(UTC)}
    with database.writing() as connection:
        if database.is_postgres:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_FORGETTING)))
        connection.execute(insert(database, FORGOTTEN).on_conflict_do_nothing(), note)
        question = sa.select(CONVERSATIONS.c.question).where(this).scalar_subquery()
        connection.execute(sa.update(TOPICS).where(TOPICS.c.title == question).values(title=TOPICS.c.topic))
        return bool(connection.execute(sa.delete(CONVERSATIONS).where(this)).rowcount)


def forget_before(database: Database, time: datetime) -> int:
    """Delete all conversations that are older; returns how many."""
    with database.writing() as connection:
        return int(connection.execute(sa.delete(CONVERSATIONS).where(CONVERSATIONS.c.asked_at < time)).rowcount)


def without_evaluation(
    database: Database,
    metric: str,
    version: str,
    judge: str,
    *,
    since: datetime,
    limit: int,
    share: float = 1.0,
    unread: bool = False,
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
        unread: Whether those count as not computed, too, whose verdict could not be read.
    """
    undone = ("failed", "unscored") if unread else ("failed",)
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
        .where(sa.or_(EVALUATIONS.c.status.is_(None), EVALUATIONS.c.status.in_(undone)))
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
    return {
        **_fields(conversation),
        "contexts": [_fields(context) for context in conversation.contexts],
        "top_score": conversation.contexts[0].score if conversation.contexts else None,
        "latency_bucket": bucket(conversation.total_s),
    }


@contextmanager
def _storing(database: Database) -> Iterator[sa.Connection]:
    """Yield a connection to store with; nothing is forgotten until its block has ended."""
    with database.writing() as connection:
        if database.is_postgres:  # of SQLite there is one writer at a time
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_FORGETTING)))
        yield connection


def _forgotten(connection: sa.Connection, ids: Iterable[str]) -> set[str]:
    wanted = sorted(ids)
    return {
        found
        for start in range(0, len(wanted), _AT_ONCE)
        for found in connection.execute(
            sa.select(FORGOTTEN.c.conversation_id).where(
                FORGOTTEN.c.conversation_id.in_(wanted[start : start + _AT_ONCE])
            )
        ).scalars()
    }


def _known(connection: sa.Connection, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what votes and evaluations repeat of those of the conversations that are stored."""
    columns = (CONVERSATIONS.c.asked_at, CONVERSATIONS.c.system, CONVERSATIONS.c.filter_value)
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
    key = itemgetter(*(column.name for column in table.primary_key.columns))
    return list({key(row): row for row in sorted(rows, key=itemgetter(time))}.values())


def _execute(connection: sa.Connection, statement: Any, table: sa.Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert rows; returns how many were stored or changed."""
    if rows and connection.dialect.name == "sqlite":  # half the time: one short statement for all rows
        return int(connection.execute(statement, rows).rowcount)
    returning = statement.returning(*table.primary_key.columns)
    parts = (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))
    return sum(len(connection.execute(returning, part).all()) for part in parts)


def _fields(record: Conversation | ShownContext | Vote | Evaluation) -> dict[str, Any]:
    """Return a row with the characters that Postgres does not take in any text replaced: NUL and halves of pairs."""
    return {
        name: _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", item)
        if type(item) is str and not (item.isascii() and "\0" not in item)  # most are plain, and this is quick
        else item
        for name, item in vars(record).items()
    }
