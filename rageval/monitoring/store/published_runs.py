"""Offline runs in the monitoring database, so that they stand beside the conversations."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from rageval.monitoring.store.conversations import insert
from rageval.monitoring.store.database import Database
from rageval.monitoring.store.schema import RUN_METRICS, RUNS


@dataclass(frozen=True, kw_only=True)
class PublishedMetric:
    """A row of a run's summary."""

    system: str
    """Empty for retrieval metrics."""
    retriever: str
    """Empty for metrics of answers."""
    metric: str
    n: int
    n_scored: int
    n_failed: int
    mean: float | None
    ci_low: float | None
    ci_high: float | None


@dataclass(frozen=True, kw_only=True)
class PublishedRun:
    """An offline run."""

    run_id: str
    started_at: datetime
    """With its zone."""
    status: str
    """complete, or incomplete."""
    filter_value: str
    """Empty for all."""
    questions: int
    cost_usd: float | None
    """US dollars; None if a price is unknown."""
    wall_s: float | None
    """Seconds of all its starts; None if none has ended."""
    folder: str


def publish_run(database: Database, run: PublishedRun, metrics: Sequence[PublishedMetric]) -> None:
    """Store a run and its metrics; what was published of it before is replaced as a whole.

    Raises:
        ServiceError: If the database cannot be used; then nothing has changed.
        DataError: If it refuses a row; then, too.
    """
    row = asdict(run) | {"published_at": datetime.now(UTC)}
    rows = [{"run_id": run.run_id, **asdict(metric)} for metric in metrics]
    changed = {name: value for name, value in row.items() if name != "run_id"}
    statement = insert(database, RUNS).values(row)
    with database.writing() as connection:
        # The row of the run is locked first: of two that publish it at once, one waits for the other.
        connection.execute(statement.on_conflict_do_update(index_elements=[RUNS.c.run_id], set_=changed))
        connection.execute(sa.delete(RUN_METRICS).where(RUN_METRICS.c.run_id == run.run_id))
        if rows:
            connection.execute(sa.insert(RUN_METRICS), rows)
