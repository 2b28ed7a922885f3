"""Every panel of every dashboard, in the order of reading: its words and its SQL."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import sqlalchemy as sa

from rageval.metrics.catalogue import of_kind, online
from rageval.metrics.hit_rate import HIT_RATE
from rageval.metrics.metric import JudgeMetric, ScoreMetric
from rageval.metrics.mrr import MRR
from rageval.metrics.relevance import RELEVANCE
from rageval.monitoring.figures import Board, Description, Filter, Kind, Unit
from rageval.monitoring.panels import offline_runs, operations, quality, verdicts
from rageval.monitoring.panels.scope import Scope, filter_value_name
from rageval.monitoring.store.schema import ALERTS, CONVERSATIONS, RUN_METRICS, RUNS

_INTERVAL = "Band: 95 % interval (Wilson)."
_YARDSTICK = "Where versions of the metric or judges overlap, the one with the most verdicts counts."
_VOTERS = "Only those who vote count, and they are not like those who do not."
_BUCKETS = "Read off buckets: at most a tenth above the exact time. Failed ones are left out."


@dataclass(frozen=True, kw_only=True)
class Panel:
    """What a panel shows, and where its rows come from."""

    description: Description
    select: Callable[[Scope], sa.Select[Any]]


def _panel(
    board: Board,
    name: str,
    title: str,
    kind: Kind,
    unit: Unit,
    select: Callable[[Scope], sa.Select[Any]],
    text: str,
    filters: frozenset[Filter] = frozenset({"system", "filter_value"}),
) -> Panel:
    description = Description(name=name, board=board, title=title, text=text, kind=kind, unit=unit, filters=filters)
    return Panel(description=description, select=select)


_quality = partial(_panel, "quality")
_operations = partial(_panel, "operations")
_offline = partial(_panel, "offline-runs")
_FILTER_VALUE: Final[frozenset[Filter]] = frozenset({"filter_value"})

_HOW_MANY: Final = _quality(
    "conversations-now", "Conversations", "stat", "count", operations.conversations_now,
    "Questions that were asked, failed ones among them.",
)  # fmt: skip
_THUMBS_NOW: Final = _quality(
    "thumbs-now", "Thumbs up", "stat", "share", verdicts.thumbs_share_now,
    f"Share of users' votes that are up. {_VOTERS}",
)  # fmt: skip
_THUMBS: Final = _quality(
    "thumbs", "Thumbs up over time", "timeseries", "share", verdicts.thumbs_shares,
    f"Share of users' votes that are up, by the time of the question. {_INTERVAL} {_VOTERS}",
)  # fmt: skip
_OTHERS: Final = (
    _quality(
        "relevance-by-system", "Relevant answers by system", "timeseries", "share",
        lambda scope: verdicts.verdict_shares_by_system(scope, RELEVANCE),
        "Share of the judged answers of each system that the judge calls RELEVANT. Systems may be asked other things.",
    ),
    _quality(
        "agreement", "Judge and users", "timeseries", "score", quality.agreement,
        "How far the judge's verdicts and the users' thumbs on the same answers agree; RELEVANT stands for up. Kappa "
        "is 1 for full agreement and 0 for that of chance. With n below a hundred it jumps.",
    ),
    _quality(
        "systems", "Systems: judges and users", "table", "count", lambda scope: quality.each(scope, "system"),
        "Share of the judged answers of each system that are RELEVANT, with its 95 % interval, and of its votes that "
        "are up. Systems may be asked other things.",
    ),
    _quality(
        "filter-values", "Filter values: judges and users", "table", "count",
        lambda scope: quality.each(scope, "filter_value"),
        "Share of the judged answers for each value of `data.filter_by` that are RELEVANT, with its 95 % interval, and "
        "of the votes on them that are up.",
    ),
    _quality(
        "topics", "Topics", "table", "count", quality.topics,
        "Share of the conversations of each cluster of questions, named by its most typical one, with its 95 % "
        "interval, and its share in the window of the same length before. `rageval monitor` tests whether they drift.",
    ),
    _quality(
        "languages", "Languages", "table", "count", quality.languages,
        "Share of the conversations in each language, now and in the window of the same length before.",
    ),
    _quality(
        "worst", "Answers to look at", "table", "count", quality.worst,
        "Conversations with the most against them: the worst label of each metric, each thumbs down; each counts one. "
        "The newest 400 of each kind are looked at. `rageval feedback review` takes them into the ground truth.",
    ),
    _quality(
        "latest", "Last conversations", "table", "count", quality.latest,
        "The last conversations, the newest first.",
    ),
    _operations(
        "errors-now", "Failed", "stat", "share", operations.errors_now,
        "Share of the questions that were not answered.",
    ),
    _operations(
        "p95-now", "p95 latency", "stat", "s", operations.p95_now,
        f"95 % of the answers took at most so long, from the request to the last byte. {_BUCKETS}",
    ),
    _operations(
        "cost-now", "Cost", "stat", "usd", operations.cost_now,
        "What the answers cost, in US dollars; n is how many have a known price.",
    ),
    _operations(
        "traffic", "Traffic", "bars", "count", operations.traffic,
        "Questions a step of time, answered and failed.",
    ),
    _operations(
        "errors", "Failed over time", "timeseries", "share", operations.errors,
        f"Share of the questions that were not answered. {_INTERVAL}",
    ),
    _operations(
        "latency", "Latency", "timeseries", "s", operations.latency,
        f"Half, 95 % and 99 % of the answers took at most so long, from the request to the last byte. {_BUCKETS}",
    ),
    _operations(
        "stages", "Where the time goes", "bars", "s", operations.stages,
        "Mean seconds of the answers in search, in the model (waits for limits included) and in the app itself; "
        "stacked, the mean of the whole. Few long ones raise a mean: for those see Latency. Failed ones are left out.",
    ),
    _operations(
        "cost", "Cost by system", "bars", "usd", operations.cost,
        "What the answers cost, in US dollars. Answers without a known price are left out.",
    ),
    _operations(
        "tokens", "Tokens", "bars", "count", operations.tokens,
        "Tokens of the prompts and of the answers, as the model servers count them.",
    ),
    _operations(
        "systems-used", "Systems: traffic, time and cost", "table", "count",
        lambda scope: operations.each(scope, "system"),
        "How much each system was asked, what failed, and what it took. Cost of 1,000: of as many with a known price.",
    ),
    _operations(
        "systems-made-of", "What the systems are made of", "table", "count", operations.parts_of_systems,
        "Model, retriever and prompt (the beginning of its hash) of each system, as they were when it was asked last.",
    ),
    _operations(
        "filter-values-asked", "Filter values: traffic, time and cost", "table", "count",
        lambda scope: operations.each(scope, "filter_value"),
        "How much was asked for each value of `data.filter_by`, what failed, and what it took.",
    ),
    _operations(
        "error-kinds", "Errors by kind", "table", "count", operations.error_kinds,
        "What stands before the first colon of an error, how often it came, and the latest one in full.",
    ),
    _operations(
        "alerts", "Alerts", "table", "count", operations.alerts,
        "Rules of `deployments/alerts.yaml` that were broken: those about a chosen system and filter value, and "
        "those that are about all.",
    ),
    _offline(
        "runs-verdicts", "Verdicts", "timeseries", "score",
        lambda scope: offline_runs.means(scope, [metric.name for metric in of_kind(JudgeMetric)]),
        "Means of the judge's verdicts of each run, from 0 to 1.",
    ),
    _offline(
        "runs-scores", "Scores without a judge", "timeseries", "score",
        lambda scope: offline_runs.means(scope, _computed()),
        "Means of the metrics of each run that ask no model, such as the cosine between answer and reference.",
    ),
    _offline(
        "runs-retrieval", "Retrieval", "timeseries", "score",
        lambda scope: offline_runs.means(scope, [f"{HIT_RATE.name}@%", f"{MRR.name}@%"]),
        "Hit rate and mean reciprocal rank of each run. They belong to no system, so systems cannot be chosen.",
        _FILTER_VALUE,
    ),
    _offline(
        "runs-cost", "Cost of a run", "timeseries", "usd", offline_runs.cost,
        "What each run cost, in US dollars, all its systems together.", _FILTER_VALUE,
    ),
    _offline(
        "runs-metrics", "The newest run", "table", "count", offline_runs.metrics,
        "Metrics of the newest run in the window: mean, interval, and how many of its questions could be scored.",
    ),
    _offline(
        "runs", "Runs", "table", "count", offline_runs.runs,
        "Runs that `rageval publish` has brought here, the newest first; each has all its systems.", _FILTER_VALUE,
    ),
)  # fmt: skip


def panels() -> tuple[Panel, ...]:
    """Return all panels; each name is there once."""
    judged = online()
    now = [_now(metric) for metric in judged]
    over_time = [_over_time(metric) for metric in judged]
    return (_HOW_MANY, *now, _THUMBS_NOW, *over_time, _THUMBS, *_OTHERS)


def _now(metric: JudgeMetric) -> Panel:
    title = f"{metric.adjective.capitalize()} answers"
    select = partial(verdicts.verdict_share_now, metric=metric)
    return _quality(f"{metric.name}-now", title, "stat", "share", select, f"{_share_of(metric)} {_YARDSTICK}")


def _over_time(metric: JudgeMetric) -> Panel:
    title = f"{metric.adjective.capitalize()} answers over time"
    select = partial(verdicts.verdict_shares, metric=metric)
    text = f"{_share_of(metric)} {_INTERVAL} {_YARDSTICK}"
    return _quality(metric.name, title, "timeseries", "share", select, text)


def _share_of(metric: JudgeMetric) -> str:
    return f"Share of the judged answers that the judge calls {metric.counted}; it sees {', '.join(metric.sees)}."


def _computed() -> list[str]:
    """Return the metrics that ask no model and have one scale."""
    return [m.name for m in of_kind(ScoreMetric) if not isinstance(m, JudgeMetric) and m.bounds]


def choices(scope: Scope, board: Board, what: Filter) -> sa.Select[Any]:
    """Return the names that there are to choose from in the scope's time: the only column, in order."""
    if board == "offline-runs":
        time = [RUNS.c.started_at >= scope.since, RUNS.c.started_at < scope.until]
        if what == "filter_value":
            return (
                sa.select(filter_value_name(RUNS).label("filter_value"))
                .where(*time)
                .distinct()
                .order_by("filter_value")
            )
        found = sa.select(RUN_METRICS.c.system).join(RUNS, RUNS.c.run_id == RUN_METRICS.c.run_id).where(*time)
        return found.where(RUN_METRICS.c.system != "").distinct().order_by("system")
    column = filter_value_name(CONVERSATIONS) if what == "filter_value" else CONVERSATIONS.c.system
    time = [CONVERSATIONS.c.asked_at >= scope.since, CONVERSATIONS.c.asked_at < scope.until]
    asked = sa.select(column.label(what)).where(*time).distinct()
    if board != "operations":
        return asked.order_by(what)
    # An alert may be that nothing was asked about a filter value: it is one of all that there are, too.
    alerts = ALERTS.c
    rules = sa.select(alerts[what]).where(
        alerts[what] != "", alerts.window_end >= scope.since, alerts.window_start < scope.until
    )
    every = sa.union(asked, rules).subquery()
    return sa.select(every.c[what]).order_by(what)
