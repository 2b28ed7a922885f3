"""The monitoring database -> what windows of time hold: counts, sums and lists, of one system or filter value or all.

One query answers for all windows that lie side by side. Of several verdicts on one conversation, by several judges or
versions, the latest one counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import sqlalchemy as sa

from rageval.metrics.relevance import RELEVANCE
from rageval.monitoring.records import VISITOR
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.schema import CONVERSATIONS, EVALUATIONS, FEEDBACK
from rageval.monitoring.store.time_steps import Step
from rageval.monitoring.windows import Share, Window

_C = CONVERSATIONS.c
_E = EVALUATIONS.c
_F = FEEDBACK.c
MOST_SCORES = 20_000
"""Retrieval scores that are read of one part of time; of more conversations, those whose ids come first."""
T = TypeVar("T")
ByPart: TypeAlias = Mapping[Window, T]
"""What was found in each part of the time that was asked about, oldest first; parts without anything are there, too."""


@dataclass(frozen=True, kw_only=True)
class QueryScope:
    """Which conversations are meant, and in which parts of time they are counted."""

    window: Window
    """All parts together. It begins at a whole second."""
    length: timedelta | None = None
    """Of a part, in whole seconds; None if all of the window is one."""
    system: str = ""
    """Empty for all."""
    filter_value: str = ""
    """Empty for all."""
    visitors: bool = True
    """Whether votes of visitors count, who may be anybody."""

    @property
    def parts(self) -> list[Window]:
        """The parts, oldest first."""
        return self.window.parts(self.length) if self.length else [self.window]

    def of(self, columns: Any) -> list[Any]:
        """Return the conditions on a table's columns `asked_at`, `system` and `filter_value`."""
        found = [columns.asked_at >= self.window.start, columns.asked_at < self.window.end]
        found += [columns.filter_value == self.filter_value] if self.filter_value else []
        return [*found, *([columns.system == self.system] if self.system else [])]

    @property
    def voters(self) -> list[Any]:
        """The conditions on who has voted."""
        return [_F.source == "user", *([] if self.visitors else [~_F.voter.startswith(VISITOR)])]

    def part(self, columns: Any) -> Any:
        """Return the start of the part that a row of a table belongs to, as the column `part`."""
        length = self.length or self.window.end - self.window.start
        numbers = (length.total_seconds(), self.window.start.timestamp())
        return Step(columns.asked_at, *(sa.literal_column(str(int(number)), sa.Integer) for number in numbers)).label(
            "part"
        )


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What conversations cost."""

    usd: float | None
    """Of those whose cost is known; None where some were answered, and that of none is known."""
    n: int


@dataclass(frozen=True, kw_only=True)
class LabelCount:
    """Conversations that a version of a metric gives a label."""

    version: str
    label: str | None
    n: int
    last: datetime
    """When the last of them got it."""


def first_asked(database: Database) -> datetime | None:
    """Return when the first conversation began that is stored, or None if there is none."""
    with database.reading() as connection:
        found: datetime | None = connection.execute(sa.select(sa.func.min(_C.asked_at))).scalar_one()
    return found


def errors(database: Database, asked: QueryScope) -> ByPart[Share]:
    """Return how many questions failed."""
    return _shares(database, asked, _C, _C.status == "failed")


def thumbs_down(database: Database, asked: QueryScope) -> ByPart[Share]:
    """Return how many of the users' votes are thumbs down; a vote belongs to the time of its question."""
    return _shares(database, asked, _F, _F.thumbs < 0, *asked.voters)


def cost(database: Database, asked: QueryScope) -> ByPart[Cost]:
    """Return what the answers cost."""
    wanted = sa.select(
        asked.part(_C), sa.func.count().label("n"), sa.func.sum(_C.cost_usd).label("usd"),
        sa.func.count().filter(_C.status == "ok").label("answered"),
    )  # fmt: skip
    found = _by_part(database, asked, wanted.where(*asked.of(_C)).group_by("part"))
    return {
        part: Cost(
            usd=None if all(row.usd is None for row in rows) and any(row.answered for row in rows)
            else float(sum(row.usd or 0.0 for row in rows)),
            n=sum(row.n for row in rows),
        )
        for part, rows in found.items()
    }  # fmt: skip


def latency_buckets(database: Database, asked: QueryScope) -> ByPart[Mapping[int, int]]:
    """Return how many answered questions took how long, by the buckets of `rageval.monitoring.buckets`."""
    return _counts(database, asked, _C, _C.latency_bucket, _C.status == "ok")


def retrievers(database: Database, asked: QueryScope) -> ByPart[Mapping[str, int]]:
    """Return how many questions found something by which retriever."""
    return _counts(database, asked, _C, _C.retriever, _C.top_score.is_not(None))


def labels(database: Database, metric: str, asked: QueryScope) -> ByPart[Mapping[str, int]]:
    """Return how many conversations have which label."""
    latest = _latest(metric, asked, _E.conversation_id)
    wanted = sa.select(latest.c.part, latest.c.label.label("counted"), sa.func.count().label("n"))
    wanted = wanted.where(latest.c.rank == 1, latest.c.label.is_not(None)).group_by(latest.c.part, latest.c.label)
    return {part: {row.counted: row.n for row in rows} for part, rows in _by_part(database, asked, wanted).items()}


def labels_of_versions(database: Database, metric: str, asked: QueryScope) -> ByPart[Sequence[LabelCount]]:
    """Return how many conversations have which label by each version of a metric."""
    latest = _latest(metric, asked, _E.conversation_id, _E.metric_version)
    key = (latest.c.part, latest.c.metric_version, latest.c.label)
    wanted = sa.select(*key, sa.func.count().label("n"), sa.func.max(latest.c.evaluated_at).label("last"))
    found = _by_part(database, asked, wanted.where(latest.c.rank == 1).group_by(*key))
    return {
        part: [LabelCount(version=row.metric_version, label=row.label, n=row.n, last=row.last) for row in rows]
        for part, rows in found.items()
    }


def votes(database: Database, asked: QueryScope) -> ByPart[Sequence[tuple[str, str, int]]]:
    """Return every user's vote on an answer that was judged: the verdict on its relevance, its id, and the vote."""
    latest = _latest(RELEVANCE.name, asked, _E.conversation_id)
    wanted = (
        sa.select(latest.c.part, latest.c.label, _F.conversation_id, _F.thumbs)
        .join(latest, latest.c.conversation_id == _F.conversation_id)
        .where(*asked.voters, latest.c.rank == 1)
        .order_by(_F.conversation_id, _F.voter)
    )
    return {
        part: [(row.label, row.conversation_id, row.thumbs) for row in rows]
        for part, rows in _by_part(database, asked, wanted).items()
    }


def top_scores(database: Database, asked: QueryScope) -> ByPart[Sequence[tuple[str, str, float]]]:
    """Return the score of the best document of each question, with the question's id and retriever, by their ids.

    Scores of two retrievers mean two things; of each there are at most `MOST_SCORES`.
    """
    part = asked.part(_C)
    rank = sa.func.row_number().over(partition_by=(part.element, _C.retriever), order_by=_C.conversation_id)
    every = sa.select(part, _C.conversation_id, _C.retriever, _C.top_score, rank.label("rank"))
    first = every.where(*asked.of(_C), _C.top_score.is_not(None)).subquery()
    wanted = sa.select(first).where(first.c.rank <= MOST_SCORES).order_by(first.c.conversation_id)
    return {
        part: [(row.conversation_id, row.retriever, float(row.top_score)) for row in rows]
        for part, rows in _by_part(database, asked, wanted).items()
    }


def recent_questions(database: Database, asked: QueryScope, limit: int) -> list[str]:
    """Return different questions, those that were asked last."""
    last = sa.func.max(_C.asked_at)
    wanted = sa.select(_C.question).where(*asked.of(_C)).group_by(_C.question).order_by(last.desc(), _C.question)
    with database.reading() as connection:
        return list(connection.execute(wanted.limit(limit)).scalars())


def _latest(metric: str, asked: QueryScope, *key: Any) -> Any:
    """Return every verdict of a metric, numbered for each key from the latest one on."""
    order = (_E.evaluated_at.desc(), _E.metric_version, _E.judge)
    rank = sa.func.row_number().over(partition_by=key, order_by=order).label("rank")
    columns = (_E.conversation_id, _E.metric_version, _E.label, _E.evaluated_at)
    wanted = sa.select(asked.part(_E), *columns, rank)
    return wanted.where(_E.metric == metric, _E.status == "ok", *asked.of(_E)).subquery()


def _shares(database: Database, asked: QueryScope, columns: Any, hit: Any, *conditions: Any) -> ByPart[Share]:
    counts = (sa.func.count().label("n"), sa.func.count().filter(hit).label("hits"))
    wanted = sa.select(asked.part(columns), *counts).where(*asked.of(columns), *conditions).group_by("part")
    return {
        part: Share(hits=sum(row.hits for row in rows), n=sum(row.n for row in rows))
        for part, rows in _by_part(database, asked, wanted).items()
    }


def _counts(
    database: Database, asked: QueryScope, columns: Any, counted: Any, *conditions: Any
) -> ByPart[Mapping[Any, int]]:
    wanted = sa.select(asked.part(columns), counted.label("counted"), sa.func.count().label("n"))
    wanted = wanted.where(*asked.of(columns), *conditions).group_by("part", counted)
    return {part: {row.counted: row.n for row in rows} for part, rows in _by_part(database, asked, wanted).items()}


def _by_part(database: Database, asked: QueryScope, wanted: Any) -> ByPart[Sequence[Any]]:
    """Return the rows of each part."""
    found: dict[datetime, list[Any]] = {part.start: [] for part in asked.parts}
    with database.reading() as connection:
        for row in connection.execute(wanted):
            found[row.part].append(row)
    return {part: found[part.start] for part in asked.parts}
