"""The panels of the dashboard `operations`: traffic, errors, time, tokens, money, alerts, systems and filter values."""

from typing import Any, Final

import sqlalchemy as sa

from rageval.monitoring.figures import Filter, shown_name
from rageval.monitoring.panels.counting import percentiles, ratio, share_with_interval, total
from rageval.monitoring.panels.quality import SHOWN
from rageval.monitoring.panels.scope import Scope, filter_value_name, kind_of_error
from rageval.monitoring.store.schema import ALERTS, CONVERSATIONS

_C = CONVERSATIONS.c
_COUNT: Any = sa.func.count()
_ABOUT: Final[tuple[Filter, ...]] = ("system", "filter_value")


def conversations_now(scope: Scope) -> sa.Select[Any]:
    """Return `now` and `before`: how many were asked."""
    now = _C.asked_at >= scope.since
    return sa.select(_COUNT.filter(now).label("now"), _COUNT.filter(~now).label("before")).where(
        *scope.within(CONVERSATIONS, before=True)
    )


def errors_now(scope: Scope) -> sa.Select[Any]:
    """Return `now`, `low`, `high`, `n` and `before` of the share that failed."""
    now, failed = _C.asked_at >= scope.since, _C.status == "failed"
    counts = (
        sa.select(
            _COUNT.filter(now, failed).label("failed"),
            _COUNT.filter(now).label("n"),
            _COUNT.filter(~now, failed).label("failed_before"),
            _COUNT.filter(~now).label("n_before"),
        )
        .where(*scope.within(CONVERSATIONS, before=True))
        .subquery()
    )
    return sa.select(
        *share_with_interval(counts.c.failed, counts.c.n, "now"),
        ratio(counts.c.failed_before, counts.c.n_before).label("before"),
    )


def cost_now(scope: Scope) -> sa.Select[Any]:
    """Return `now`, `n` (conversations whose price is known) and `before`, in US dollars."""
    now = _C.asked_at >= scope.since
    return sa.select(
        sa.func.sum(_C.cost_usd).filter(now).label("now"),
        sa.func.count(_C.cost_usd).filter(now).label("n"),
        sa.func.sum(_C.cost_usd).filter(~now).label("before"),
    ).where(*scope.within(CONVERSATIONS, before=True))


def p95_now(scope: Scope) -> sa.Select[Any]:
    """Return `now`, `n` and `before` of the time that 95 % of the answers took at most, in seconds."""
    now = _C.asked_at >= scope.since
    both = (
        sa.select(_C.latency_bucket.label("bucket"), _COUNT.filter(now).label("n1"), _COUNT.filter(~now).label("n0"))
        .where(_C.status == "ok", *scope.within(CONVERSATIONS, before=True))
        .group_by(_C.latency_bucket)
        .cte()
    )
    counts = sa.union_all(
        *(
            sa.select(sa.literal_column(str(is_now), sa.Integer).label("is_now"), both.c.bucket, n.label("n"))
            for is_now, n in ((0, both.c.n0), (1, both.c.n1))
        )
    ).subquery()
    found = percentiles(counts, "is_now", of=(0.95,)).subquery()
    is_now = found.c.is_now == 1
    return sa.select(
        sa.func.max(found.c.p95).filter(is_now, found.c.n > 0).label("now"),
        sa.func.max(found.c.n).filter(is_now).label("n"),
        sa.func.max(found.c.p95).filter(~is_now, found.c.n > 0).label("before"),
    )


def traffic(scope: Scope) -> sa.Select[Any]:
    """Return `time`, `metric` (ok or failed) and `value`: conversations."""
    return (
        sa.select(scope.time(_C.asked_at), _C.status.label("metric"), _COUNT.label("value"))
        .where(*scope.within(CONVERSATIONS))
        .group_by("time", _C.status)
        .order_by("time", _C.status.desc())
    )


def errors(scope: Scope) -> sa.Select[Any]:
    """Return `time`, `share`, `low`, `high` and `n` of the conversations that failed."""
    counts = (
        sa.select(scope.time(_C.asked_at), _COUNT.filter(_C.status == "failed").label("failed"), _COUNT.label("n"))
        .where(*scope.within(CONVERSATIONS))
        .group_by("time")
        .subquery()
    )
    return sa.select(counts.c.time, *share_with_interval(counts.c.failed, counts.c.n)).order_by("time")


def error_kinds(scope: Scope) -> sa.Select[Any]:
    """Return `error`, `n`, and the time and text of the latest one."""
    failed = (
        sa.select(kind_of_error(_C.error).label("kind"), _C.asked_at, _C.error)
        .where(_C.status == "failed", *scope.within(CONVERSATIONS))
        .subquery()
    )
    rank = sa.func.row_number().over(partition_by=failed.c.kind, order_by=failed.c.asked_at.desc())
    n = _COUNT.over(partition_by=failed.c.kind)
    ranked = sa.select(failed, rank.label("rank"), n.label("n")).subquery()
    return (
        sa.select(
            ranked.c.kind.label("error"),
            ranked.c.n,
            ranked.c.asked_at.label("latest"),
            sa.func.substr(ranked.c.error, 1, 300).label("the latest in full"),
        )
        .where(ranked.c.rank == 1)
        .order_by(ranked.c.n.desc(), ranked.c.kind)
        .limit(SHOWN)
    )


def latency(scope: Scope) -> sa.Select[Any]:
    """Return `time`, `p50`, `p95`, `p99` in seconds, and `n`."""
    counts = (
        sa.select(scope.time(_C.asked_at), _C.latency_bucket.label("bucket"), _COUNT.label("n"))
        .where(_C.status == "ok", *scope.within(CONVERSATIONS))
        .group_by("time", _C.latency_bucket)
        .subquery()
    )
    return percentiles(counts, "time", of=(0.5, 0.95, 0.99)).order_by("time")


def stages(scope: Scope) -> sa.Select[Any]:
    """Return `time`, `metric` (search, model, app) and `value`: mean seconds of the answers, together their whole."""
    search, model = (sa.func.coalesce(seconds, 0.0) for seconds in (_C.search_s, _C.model_s))
    means = (
        sa.select(
            scope.time(_C.asked_at),
            sa.func.avg(search).label("search"),
            sa.func.avg(model).label("model"),
            sa.func.avg(_C.total_s - search - model).label("app"),
        )
        .where(_C.status == "ok", *scope.within(CONVERSATIONS))
        .group_by("time")
        .cte()
    )
    return _by_kind(means, "search", "model", "app")


def cost(scope: Scope) -> sa.Select[Any]:
    """Return `time`, `metric` (the system's name) and `value` in US dollars."""
    return (
        sa.select(scope.time(_C.asked_at), _C.system.label("metric"), sa.func.sum(_C.cost_usd).label("value"))
        .where(_C.cost_usd.is_not(None), *scope.within(CONVERSATIONS))
        .group_by("time", _C.system)
        .order_by("time", _C.system)
    )


def tokens(scope: Scope) -> sa.Select[Any]:
    """Return `time`, `metric` (prompt or completion) and `value`."""
    sums = (
        sa.select(
            scope.time(_C.asked_at),
            total(_C.prompt_tokens).label("prompt"),
            total(_C.completion_tokens).label("completion"),
        )
        .where(*scope.within(CONVERSATIONS))
        .group_by("time")
        .cte()
    )
    return _by_kind(sums, "prompt", "completion")


def each(scope: Scope, key: str) -> sa.Select[Any]:
    """Return a row per system or filter value: how much was asked, what failed, time, tokens and money."""
    name = filter_value_name(CONVERSATIONS) if key == "filter_value" else _C[key]
    counts = (
        sa.select(
            name.label("key"),
            _C.latency_bucket.label("bucket"),
            _COUNT.label("asked"),
            _COUNT.filter(_C.status == "failed").label("failed"),
            _COUNT.filter(_C.status == "ok").label("n"),
            sa.func.sum(_C.cost_usd).label("cost"),
            sa.func.count(_C.cost_usd).label("priced"),
            (sa.func.sum(_C.prompt_tokens) + sa.func.sum(_C.completion_tokens)).label("tokens"),
        )
        .where(*scope.within(CONVERSATIONS))
        .group_by("key", _C.latency_bucket)
        .cte()
    )
    sums = (
        sa.select(
            counts.c.key,
            total(counts.c.asked).label("asked"),
            ratio(sa.func.sum(counts.c.failed), sa.func.sum(counts.c.asked)).label("failed"),
            sa.func.sum(counts.c.cost).label("cost"),
            ratio(sa.func.sum(counts.c.cost) * 1000, sa.func.sum(counts.c.priced)).label("cost_of_1000"),
            total(counts.c.tokens).label("tokens"),
        )
        .group_by(counts.c.key)
        .subquery()
    )
    times = percentiles(counts, "key", of=(0.95,)).subquery()
    return (
        sa.select(
            sums.c.key.label(shown_name(key)),
            sums.c.asked,
            sums.c.failed,
            times.c.p95,
            sums.c.tokens,
            sums.c.cost,
            sums.c.cost_of_1000.label("cost of 1,000"),
        )
        .join_from(sums, times, times.c.key == sums.c.key)
        .order_by(sums.c.asked.desc(), sums.c.key)
        .limit(SHOWN)
    )


def parts_of_systems(scope: Scope) -> sa.Select[Any]:
    """Return a row per system: what it was made of when it was asked last, how often it was asked, and when last."""
    # The index holds times and systems; only the last conversation of each is read.
    systems = (
        sa.select(_C.system, _COUNT.label("asked"), sa.func.max(_C.asked_at).label("latest"))
        .where(*scope.within(CONVERSATIONS))
        .group_by(_C.system)
        .subquery()
    )
    return (
        sa.select(
            systems.c.system,
            _C.model,
            _C.retriever,
            _C.prompt_version.label("prompt"),
            systems.c.asked,
            systems.c.latest,
        )
        .join_from(systems, CONVERSATIONS, sa.and_(_C.asked_at == systems.c.latest, _C.system == systems.c.system))
        .where(*scope.within(CONVERSATIONS))
        .distinct()
        .order_by(systems.c.asked.desc(), systems.c.system, _C.model, _C.retriever, _C.prompt_version)
        .limit(SHOWN)
    )


def alerts(scope: Scope) -> sa.Select[Any]:
    """Return the rules that were broken by a stretch of time that touches the window, the newest first.

    A rule that is about no system, or no filter value, is about all of them.
    """
    a = ALERTS.c
    return (
        sa.select(
            a.window_start.label("from"),
            a.window_end.label("to"),
            a.rule,
            a.message,
            a.value,
            a.bound,
            a.n,
            a.raised_at.label("raised"),
            a.sent_at.label("sent"),
        )
        .where(a.window_end >= scope.since, a.window_start < scope.until)
        .where(*(sa.or_(a[what] == "", *chosen) for what in _ABOUT if (chosen := scope.chosen(what, a[what]))))
        .order_by(a.window_end.desc(), a.rule)
        .limit(4 * SHOWN)
    )


def _by_kind(table: sa.CTE, *kinds: str) -> sa.Select[Any]:
    """Return `time`, `metric` (a column's name) and `value` of a table that has a column for each kind."""
    rows = sa.union_all(
        *(
            sa.select(
                table.c.time, sa.literal_column(f"'{kind}'", sa.Text).label("metric"), table.c[kind].label("value")
            )
            .where(table.c[kind].is_not(None))
            for kind in kinds
        )
    ).subquery()  # fmt: skip
    return sa.select(rows).order_by(rows.c.time, rows.c.metric.desc())
