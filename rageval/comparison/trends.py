"""The summaries of many runs -> how each metric went over time, and where a trend is interrupted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from rageval.comparison.comparability import judge_settings
from rageval.comparison.measurements import Key, Subject
from rageval.metrics.catalogue import find, headline, in_order
from rageval.metrics.metric import EmbeddingMetric
from rageval.metrics.names import metric_of
from rageval.runs.manifest import Manifest

_STRING, _FLOAT, _INT = pa.string(), pa.float64(), pa.int64()
HISTORY: Final = pa.schema(
    [
        pa.field("run_id", _STRING, nullable=False),
        pa.field("started_at", _STRING),
        pa.field("status", _STRING, nullable=False),
        pa.field("system", _STRING),
        pa.field("retriever", _STRING),
        pa.field("metric", _STRING, nullable=False),
        pa.field("mean", _FLOAT),
        pa.field("ci_low", _FLOAT),
        pa.field("ci_high", _FLOAT),
        pa.field("n", _INT, nullable=False),
        pa.field("n_scored", _INT, nullable=False),
        pa.field("questions", _STRING),
        pa.field("documents", _STRING),
        pa.field("embedding_model", _STRING),
        pa.field("judge", _STRING),
        pa.field("metric_version", _STRING),
        pa.field("interrupted", _STRING, metadata={"description": "why it cannot be compared with the row before"}),
    ],
    metadata={"rageval.table": "history"},
)


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What a history reads of one run."""

    run_id: str
    manifest: Manifest
    rows: Sequence[Mapping[str, Any]]
    """Rows of the table `tables.SUMMARY`."""
    versions: Mapping[Key, str]
    """The versions of a metric's values by system and metric; missing for what is no score."""
    judges: Mapping[Key, str]
    """The judges of a metric's values, in the same way; missing where no judge is involved."""


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """What a mean was measured with; means of different yardsticks cannot be compared. None where it plays no part."""

    questions: str | None
    documents: str | None
    judge: str | None = None
    embedding_model: str | None = None
    metric_version: str | None = None

    def change_from(self, before: "Yardstick") -> str | None:
        """Return what has changed since, in words, or None."""
        changed = [f"other {name}" for name in ("questions", "documents") if self._differs(before, name)]
        changed += [
            f"{words} {getattr(before, name)} → {getattr(self, name)}"
            for name, words in (
                ("judge", "judge"), ("embedding_model", "embedding model"), ("metric_version", "metric version"),
            )
            if self._differs(before, name)
        ]  # fmt: skip
        return ", ".join(changed) or None

    def _differs(self, before: "Yardstick", name: str) -> bool:
        return bool(getattr(self, name) != getattr(before, name))


@dataclass(frozen=True, kw_only=True)
class Point:
    """One metric of one system or retriever in one run."""

    run_id: str
    started_at: str
    status: str
    subject: Subject
    metric: str
    mean: float | None
    low: float | None
    high: float | None
    n: int
    n_scored: int
    yardstick: Yardstick
    interrupted: str | None = None
    """Why it cannot be compared with the point before it; None if it can, or is the first."""


@dataclass(frozen=True, kw_only=True)
class Trend:
    """One metric over all runs, the oldest first."""

    metric: str
    points: Sequence[Point]

    @property
    def runs(self) -> list[str]:
        """The runs that have the metric, in the order of their start."""
        return list(dict.fromkeys(point.run_id for point in self.points))

    @property
    def series(self) -> dict[Subject, list[Point]]:
        """The points of each system or retriever."""
        found: dict[Subject, list[Point]] = {}
        for point in self.points:
            found.setdefault(point.subject, []).append(point)
        return found


def trends(runs: Sequence[RunSummary]) -> list[Trend]:
    """Return how each metric of these runs went, in the order of `catalogue.in_order`.

    Runs are ordered by `started_at`, then by id. A point is interrupted where its yardstick differs from that of the
    point before it, of the same system or retriever and metric; points without a mean are passed over.
    """
    ordered = sorted(runs, key=lambda run: (run.manifest.started_at, run.run_id))
    before: dict[Key, Point] = {}
    by_metric: dict[str, list[Point]] = {}
    for run in ordered:
        for row in run.rows:
            point = _point(run, row)
            key = (point.subject, point.metric)
            if point.mean is not None:
                if key in before:
                    point = replace(point, interrupted=point.yardstick.change_from(before[key].yardstick))
                before[key] = point
            by_metric.setdefault(point.metric, []).append(point)
    return [Trend(metric=metric, points=by_metric[metric]) for metric in in_order(by_metric)]


def chosen(found: Sequence[Trend], metrics: Sequence[str]) -> list[Trend]:
    """Return the trends of these metrics, with or without `@k`, in the order given; without any, of the headline."""
    wanted = metrics or headline()
    return [trend for name in wanted for trend in found if name in (trend.metric, metric_of(trend.metric))]


def history_table(found: Sequence[Trend]) -> pa.Table:
    """Return all points as a table `HISTORY`."""
    rows = [
        {
            **{name: getattr(point, name) for name in ("run_id", "started_at", "status")},
            "system": None if point.subject.is_retriever else point.subject.name,
            "retriever": point.subject.name if point.subject.is_retriever else None,
            **{name: getattr(point, name) for name in ("metric", "mean", "n", "n_scored", "interrupted")},
            "ci_low": point.low,
            "ci_high": point.high,
            **{name: getattr(point.yardstick, name) for name in ("questions", "documents", "embedding_model", "judge")},
            "metric_version": point.yardstick.metric_version,
        }
        for trend in found
        for point in trend.points
    ]
    return pa.Table.from_pylist(rows, schema=HISTORY)


def _point(run: RunSummary, row: Mapping[str, Any]) -> Point:
    subject = Subject(name=row["system"] or row["retriever"], is_retriever=row["system"] is None)
    key = (subject, row["metric"])
    return Point(
        run_id=run.run_id,
        started_at=run.manifest.started_at,
        status=run.manifest.status,
        subject=subject,
        metric=row["metric"],
        mean=row["mean"],
        low=row["ci_low"],
        high=row["ci_high"],
        n=row["n"],
        n_scored=row["n_scored"],
        yardstick=_yardstick(run, key),
    )


def _yardstick(run: RunSummary, key: Key) -> Yardstick:
    dataset = run.manifest.dataset
    return Yardstick(
        questions=dataset.questions_fingerprint if dataset else None,
        documents=dataset.documents_fingerprint if dataset else None,
        judge=_judge(run, key),
        embedding_model=run.manifest.embedding_model if isinstance(find(key[1]), EmbeddingMetric) else None,
        metric_version=run.versions.get(key),
    )


def _judge(run: RunSummary, key: Key) -> str | None:
    """Return the judges of a metric, with those of their settings that can change a verdict."""
    names = run.judges.get(key)
    if names is None:
        return None
    settings = judge_settings(run.manifest.config)
    parts = []
    for name in names.split(" + "):
        of_judge = {what: value for what, value in settings.get(name, {}).items() if value != name}
        words = ", ".join(f"{what} {value}" for what, value in of_judge.items())
        parts.append(f"{name} ({words})" if words else name)
    return " + ".join(parts)
