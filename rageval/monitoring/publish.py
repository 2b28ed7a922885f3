"""A run's folder -> its metrics in the monitoring database, where dashboards show how they went."""

from datetime import datetime

from rageval.errors import DataError
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.published_runs import PublishedMetric, PublishedRun, publish_run
from rageval.runs.folders import read_columns
from rageval.runs.manifest import Manifest, read_manifest
from rageval.runs.run import Run

_SUMMARY = ("system", "retriever", "metric", "n", "n_scored", "n_failed", "mean", "ci_low", "ci_high")


def publish(database: Database, run: Run) -> int:
    """Store a run's metrics, in place of what was published of it before; returns how many there are.

    Raises:
        DataError: If the folder holds no run, or one that has no summary yet.
        ServiceError: If the database cannot be used.
    """
    manifest = read_manifest(run)
    if not run.has("summary"):
        raise DataError(
            f"{run.folder} has no summary (status: {manifest.status}); `rageval report {run.folder}` writes it"
        )
    rows = read_columns(run, "summary", _SUMMARY).to_pylist()
    metrics = [
        PublishedMetric(**row | {name: row[name] or "" for name in ("system", "retriever")})
        for row in rows
    ]  # fmt: skip
    publish_run(database, _run(run, manifest), metrics)
    return len(metrics)


def _run(run: Run, manifest: Manifest) -> PublishedRun:
    seconds = [
        (datetime.fromisoformat(start.finished_at) - datetime.fromisoformat(start.started_at)).total_seconds()
        for start in manifest.starts
        if start.finished_at
    ]
    return PublishedRun(
        run_id=manifest.run_id,
        started_at=datetime.fromisoformat(manifest.started_at),
        status=manifest.status,
        filter_value=manifest.config.data.only,
        questions=run.count("questions"),
        cost_usd=manifest.totals.cost_usd if manifest.totals else None,
        wall_s=sum(seconds) if seconds else None,
        folder=run.folder,
    )
