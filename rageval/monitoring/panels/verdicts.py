"""Verdicts and votes, counted: per step of time, per system or filter value, now and before.

Where several versions of a metric, or several judges, have judged the same stretch, the one with the most verdicts
counts and the others are left out: no conversation counts twice, and no point mixes two yardsticks.
"""

from typing import Any

import sqlalchemy as sa

from rageval.metrics.metric import JudgeMetric
from rageval.metrics.relevance import RELEVANCE
from rageval.monitoring.panels.counting import ratio, share_with_interval
from rageval.monitoring.panels.scope import Scope, filter_value_name
from rageval.monitoring.store.schema import EVALUATIONS, FEEDBACK

_E, _F = EVALUATIONS.c, FEEDBACK.c
_YARDSTICK = (_E.metric_version, _E.judge)


def verdict_shares(scope: Scope, metric: JudgeMetric) -> sa.Select[Any]:
    """Return `time`, `share`, `low`, `high`, `n` and `unscored` (no verdict came of it) of a metric."""
    groups = (
        sa.select(
            scope.time(_E.asked_at),
            *_YARDSTICK,
            sa.func.count().filter(_E.status == "ok", _E.label == metric.counted).label("good"),
            sa.func.count().filter(_E.status == "ok").label("n"),
            sa.func.count().filter(_E.status != "ok").label("unscored"),
        )
        .where(_E.metric == metric.name, *scope.within(EVALUATIONS))
        .group_by("time", *_YARDSTICK)
        .subquery()
    )
    leading = _leading(groups, groups.c.time)
    return (
        sa.select(leading.c.time, *share_with_interval(leading.c.good, leading.c.n), leading.c.unscored)
        .where(leading.c.rank == 1)
        .order_by("time")
    )


def verdict_shares_by_system(scope: Scope, metric: JudgeMetric) -> sa.Select[Any]:
    """Return `time`, `metric` (the system's name) and `value` (the share)."""
    groups = (
        sa.select(
            scope.time(_E.asked_at),
            _E.system,
            *_YARDSTICK,
            sa.func.count().filter(_E.label == metric.counted).label("good"),
            sa.func.count().label("n"),
        )
        .where(_E.metric == metric.name, _E.status == "ok", *scope.within(EVALUATIONS))
        .group_by("time", _E.system, *_YARDSTICK)
        .subquery()
    )
    leading = _leading(groups, groups.c.time, groups.c.system)
    return (
        sa.select(leading.c.time, leading.c.system.label("metric"), ratio(leading.c.good, leading.c.n).label("value"))
        .where(leading.c.rank == 1)
        .order_by("time", leading.c.system)
    )


def verdict_share_now(scope: Scope, metric: JudgeMetric) -> sa.Select[Any]:
    """Return `now`, `low`, `high`, `n` and `before` of a metric's share."""
    now, good = _E.asked_at >= scope.since, _E.label == metric.counted
    groups = (
        sa.select(
            *_YARDSTICK,
            sa.func.count().filter(now, good).label("good"),
            sa.func.count().filter(now).label("n"),
            sa.func.count().filter(~now, good).label("good_before"),
            sa.func.count().filter(~now).label("n_before"),
        )
        .where(_E.metric == metric.name, _E.status == "ok", *scope.within(EVALUATIONS, before=True))
        .group_by(*_YARDSTICK)
        .subquery()
    )
    leading = _leading(groups)
    return sa.select(
        *share_with_interval(leading.c.good, leading.c.n, "now"),
        ratio(leading.c.good_before, leading.c.n_before).label("before"),
    ).where(leading.c.rank == 1)


def verdict_share_of_each(scope: Scope, metric: JudgeMetric, key: str) -> sa.CTE:
    """Return the `key` (a system or a filter value) with a metric's share: `relevant`, `low`, `high` and `n`."""
    groups = (
        sa.select(
            _key(EVALUATIONS, key),
            *_YARDSTICK,
            sa.func.count().filter(_E.label == metric.counted).label("good"),
            sa.func.count().label("n"),
        )
        .where(_E.metric == metric.name, _E.status == "ok", *scope.within(EVALUATIONS))
        .group_by("key", *_YARDSTICK)
        .subquery()
    )
    leading = _leading(groups, groups.c.key)
    return (
        sa.select(leading.c.key, *share_with_interval(leading.c.good, leading.c.n, "relevant"))
        .where(leading.c.rank == 1)
        .cte()
    )


def label_counts(scope: Scope, metric: str) -> sa.CTE:
    """Return `label`, `now` and `before`: conversations of a label in the window and in the one before."""
    now = _E.asked_at >= scope.since
    groups = (
        sa.select(
            *_YARDSTICK,
            _E.label,
            sa.func.count().filter(now).label("now"),
            sa.func.count().filter(~now).label("before"),
        )
        .where(_E.metric == metric, _E.status == "ok", *scope.within(EVALUATIONS, before=True))
        .group_by(*_YARDSTICK, _E.label)
        .cte()  # read twice, counted once
    )
    sizes = (
        sa.select(groups.c.metric_version, groups.c.judge, sa.func.sum(groups.c.now).label("n"))
        .group_by(groups.c.metric_version, groups.c.judge)
        .subquery()
    )
    leading = _leading(sizes)
    same = sa.and_(groups.c.metric_version == leading.c.metric_version, groups.c.judge == leading.c.judge)
    return sa.select(groups.c.label, groups.c.now, groups.c.before).join(leading, same).where(leading.c.rank == 1).cte()


def thumbs_shares(scope: Scope) -> sa.Select[Any]:
    """Return `time`, `share`, `low`, `high` and `n` of thumbs up among users' votes, by the time of the question."""
    counts = (
        sa.select(
            scope.time(_F.asked_at),
            sa.func.count().filter(_F.thumbs == 1).label("up"),
            sa.func.count().label("n"),
        )
        .where(_F.source == "user", *scope.within(FEEDBACK))
        .group_by("time")
        .subquery()
    )
    return sa.select(counts.c.time, *share_with_interval(counts.c.up, counts.c.n)).order_by("time")


def thumbs_share_now(scope: Scope) -> sa.Select[Any]:
    """Return `now`, `low`, `high`, `n` and `before` of the share of thumbs up."""
    now, up = _F.asked_at >= scope.since, _F.thumbs == 1
    counts = (
        sa.select(
            sa.func.count().filter(now, up).label("up"),
            sa.func.count().filter(now).label("n"),
            sa.func.count().filter(~now, up).label("up_before"),
            sa.func.count().filter(~now).label("n_before"),
        )
        .where(_F.source == "user", *scope.within(FEEDBACK, before=True))
        .subquery()
    )
    return sa.select(
        *share_with_interval(counts.c.up, counts.c.n, "now"),
        ratio(counts.c.up_before, counts.c.n_before).label("before"),
    )


def thumbs_share_of_each(scope: Scope, key: str) -> sa.CTE:
    """Return the `key` with its `share` of thumbs up, and `n`."""
    return (
        sa.select(
            _key(FEEDBACK, key),
            ratio(sa.func.count().filter(_F.thumbs == 1), sa.func.count()).label("share"),
            sa.func.count().label("n"),
        )
        .where(_F.source == "user", *scope.within(FEEDBACK))
        .group_by("key")
        .cte()
    )


def judged_votes(scope: Scope) -> sa.Subquery:
    """Return `time`, `both`, `judge_up`, `user_up` and `n` of the votes on answers that relevance was judged of.

    Its good label stands for up, every other label for down.
    """
    good, up = _E.label == RELEVANCE.good, _F.thumbs == 1
    groups = (
        sa.select(
            scope.time(_F.asked_at),
            *_YARDSTICK,
            sa.func.count().filter(good, up).label("both"),
            sa.func.count().filter(good).label("judge_up"),
            sa.func.count().filter(up).label("user_up"),
            sa.func.count().label("n"),
        )
        .select_from(FEEDBACK)
        .join(EVALUATIONS, _E.conversation_id == _F.conversation_id)
        .where(_F.source == "user", *scope.within(FEEDBACK))
        .where(_E.metric == RELEVANCE.name, _E.status == "ok", _E.asked_at >= scope.since, _E.asked_at < scope.until)
        .group_by("time", *_YARDSTICK)
        .subquery()
    )
    leading = _leading(groups, groups.c.time)
    return sa.select(leading).where(leading.c.rank == 1).subquery()


def _key(table: sa.Table, key: str) -> sa.Label[Any]:
    return (filter_value_name(table) if key == "filter_value" else table.c[key]).label("key")


def _leading(groups: Any, *partition: sa.ColumnElement[Any]) -> sa.Subquery:
    """Return the groups with their `rank`: 1 has the most verdicts of its part; of equals, the later version."""
    order = (groups.c.n.desc(), groups.c.metric_version.desc(), groups.c.judge)
    rank = sa.func.row_number().over(partition_by=partition or None, order_by=order)
    return sa.select(groups, rank.label("rank")).subquery()
