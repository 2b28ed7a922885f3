"""The panels of the dashboard `offline-runs`: how published evaluation runs went over time."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from rageval.monitoring.panels.scope import Scope, filter_value_name
from rageval.monitoring.store.schema import RUN_METRICS, RUNS

_R, _M = RUNS.c, RUN_METRICS.c
_SHOWN = 100


def means(scope: Scope, metrics: Sequence[str]) -> sa.Select[Any]:
    """Return `time` (start of the run), `metric` (with its system or retriever) and `value` (its mean)."""
    return (
        sa.select(
            _R.started_at.label("time"),
            (_M.metric + " · " + _M.system + _M.retriever).label("metric"),
            _M.mean.label("value"),
        )
        .join_from(RUN_METRICS, RUNS, _R.run_id == _M.run_id)
        .where(_M.mean.is_not(None), sa.or_(*(_M.metric.like(metric) for metric in metrics)), *_chosen(scope))
        .order_by("time", "metric")
    )


def cost(scope: Scope) -> sa.Select[Any]:
    """Return `time` and `cost` of each run."""
    return (
        sa.select(_R.started_at.label("time"), _R.cost_usd.label("cost"))
        .where(*scope.within(RUNS, "started_at"))
        .order_by("time")
    )


def runs(scope: Scope) -> sa.Select[Any]:
    """Return the runs, the newest first."""
    return (
        sa.select(
            _R.started_at.label("started"),
            _R.run_id.label("run"),
            _R.status,
            filter_value_name(RUNS).label("filter value"),
            _R.questions,
            _R.cost_usd.label("cost"),
            _R.wall_s.label("took"),
        )
        .where(*scope.within(RUNS, "started_at"))
        .order_by(_R.started_at.desc(), _R.run_id)
        .limit(_SHOWN)
    )


def metrics(scope: Scope) -> sa.Select[Any]:
    """Return the metrics of the newest run in the window, with their intervals and counts."""
    newest = (
        sa.select(_R.run_id)
        .where(*scope.within(RUNS, "started_at"))
        .order_by(_R.started_at.desc(), _R.run_id)
        .limit(1)
        .scalar_subquery()
    )
    return (
        sa.select(
            _M.run_id.label("run"),
            _M.metric,
            _M.system,
            _M.retriever,
            _M.mean,
            _M.ci_low.label("ci low"),
            _M.ci_high.label("ci high"),
            _M.n_scored.label("scored"),
            _M.n,
        )
        .join_from(RUN_METRICS, RUNS, _R.run_id == _M.run_id)
        .where(_M.run_id == newest, *_chosen(scope))
        .order_by(_M.metric, _M.system, _M.retriever)
        .limit(2 * _SHOWN)
    )


def _chosen(scope: Scope) -> list[Any]:
    """Return the conditions on a run's metric; a retrieval metric belongs to no system, so it stays."""
    chosen = scope.chosen("system", _M.system)
    return [*scope.within(RUNS, "started_at"), *([sa.or_(_M.system == "", *chosen)] if chosen else [])]
