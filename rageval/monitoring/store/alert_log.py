"""Alerts in the monitoring database: each once, for as long as it lasts, and whether somebody was told."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from rageval.monitoring.records import Alert
from rageval.monitoring.store.conversations import insert
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.schema import ALERTS


def record_alerts(database: Database, alerts: Iterable[Alert]) -> list[Alert]:
    """Store alerts; returns those that are new.

    One that goes on from, or overlaps, an alert of the same rule is that alert: its end, its value and what is said of
    it are brought up to date, and nobody is told again.
    """
    return [alert for alert in alerts if _record(database, alert)]


def unsent_alerts(database: Database, since: datetime) -> list[Alert]:
    """Return the alerts that nobody was told of, oldest first; those that ended before a time are left out."""
    columns = [column for column in ALERTS.c if column.name != "sent_at"]
    wanted = sa.select(*columns).where(ALERTS.c.sent_at.is_(None), ALERTS.c.window_end >= since)
    with database.reading() as connection:
        found = connection.execute(wanted.order_by(ALERTS.c.window_start, ALERTS.c.rule)).mappings().all()
    return [Alert(**row) for row in found]


def note_sent(database: Database, alerts: Sequence[Alert], at: datetime) -> None:
    """Note when somebody was told of alerts."""
    with database.writing() as connection:
        for alert in alerts:
            connection.execute(
                sa.update(ALERTS)
                .where(ALERTS.c.rule == alert.rule, ALERTS.c.window_start == alert.window_start)
                .values(sent_at=at)
            )


def _record(database: Database, alert: Alert) -> bool:
    with database.writing() as connection:
        earlier = connection.execute(
            sa.select(ALERTS.c.window_start, ALERTS.c.window_end)
            .where(
                ALERTS.c.rule == alert.rule,
                ALERTS.c.window_start <= alert.window_end,
                ALERTS.c.window_end >= alert.window_start,
            )
            .order_by(ALERTS.c.window_start.desc())
            .limit(1)
        ).one_or_none()
        if earlier is None:
            added = insert(database, ALERTS).values(**asdict(alert)).on_conflict_do_nothing().returning(ALERTS.c.rule)
            return connection.execute(added).one_or_none() is not None
        if earlier.window_end <= alert.window_end:
            connection.execute(
                sa.update(ALERTS)
                .where(ALERTS.c.rule == alert.rule, ALERTS.c.window_start == earlier.window_start)
                .values(
                    window_end=alert.window_end,
                    value=alert.value,
                    bound=alert.bound,
                    n=alert.n,
                    message=alert.message,
                    filter_value=alert.filter_value,
                    system=alert.system,
                )
            )
        return False
