"""Topics of questions in the monitoring database."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from rageval.monitoring.store.conversations import insert
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.schema import TOPICS
from rageval.monitoring.topics import Topic


def topics_version(database: Database, embedding_model: str) -> str | None:
    """Return the version of the topics that were made last with an embedding model, or None if there are none."""
    wanted = sa.select(TOPICS.c.version).where(TOPICS.c.embedding_model == embedding_model)
    with database.reading() as connection:
        return connection.execute(
            wanted.order_by(TOPICS.c.made_at.desc(), TOPICS.c.version.desc()).limit(1)
        ).scalar_one_or_none()


def read_topics(database: Database, version: str, embedding_model: str) -> list[Topic]:
    """Return the topics of a version."""
    wanted = (
        sa.select(TOPICS.c.topic, TOPICS.c.title, TOPICS.c.centre)
        .where(TOPICS.c.version == version, TOPICS.c.embedding_model == embedding_model)
        .order_by(TOPICS.c.topic)
    )
    with database.reading() as connection:
        return [
            Topic(topic=topic, title=title, centre=np.asarray(centre, dtype=np.float32))
            for topic, title, centre in connection.execute(wanted)
        ]


def topic_titles(database: Database) -> dict[str, str]:
    """Return the title of every topic of every version."""
    with database.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(sa.select(TOPICS.c.topic, TOPICS.c.title))}


def next_version(database: Database) -> str:
    """Return a version that no topics have yet: a number."""
    with database.reading() as connection:
        taken = set(connection.execute(sa.select(TOPICS.c.version)).scalars())
    return str(next(number for number in range(1, len(taken) + 2) if str(number) not in taken))


def add_topics(
    database: Database, topics: Sequence[Topic], *, version: str, embedding_model: str, made_at: datetime
) -> None:
    """Store the topics of a version; if another process has stored that version meanwhile, its topics stay."""
    rows = [
        {
            "topic": topic.topic,
            "version": version,
            "title": topic.title,
            "centre": [float(value) for value in topic.centre],
            "embedding_model": embedding_model,
            "made_at": made_at,
        }
        for topic in topics
    ]
    with database.writing() as connection:
        taken = sa.select(sa.func.count()).where(TOPICS.c.version == version)
        if rows and not connection.execute(taken).scalar_one():
            connection.execute(insert(database, TOPICS).on_conflict_do_nothing(), rows)
