"""What each process of a cluster does for a run beside its chunks: look round, report, stop.

The functions are sent to the processes by whoever directs the run. Their request engines cannot see each other, so
what all have spent is told to each of them every second.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from rageval import __version__
from rageval.engine.counts import ModelCounts
from rageval.errors import RunStoppedError
from rageval.runs.manifest import find_manifest
from rageval.runs.run import Run
from rageval.safety.allowances import Allowances, follow
from tasks import process


@dataclass(frozen=True, kw_only=True)
class WorkerReport:
    """How far one process is with its part of a run."""

    counts: Mapping[str, ModelCounts]
    spent_usd: float


def look_round(run: Run | None, version: str, allowed: Allowances | None) -> str | None:
    """Return why this process cannot work on the run, or None.

    Args:
        run: A run whose `run.json` has been written; None for work that belongs to no run.
        version: Of this package, where the run is directed.
        allowed: What the run may use; None for a run that was started in a shell.
    """
    follow(allowed)
    if version != __version__:
        return f"has rageval {__version__}, and the run is of {version}; install the same there"
    if run and not find_manifest(run):
        return (
            f"does not see {run.folder}; run.output must be on storage that all workers share, or a URL such as s3://"
        )
    return None


def exchange(
    ceiling_usd: float | None, spent_usd: float, of_each: Mapping[str, float], dask_worker: Any
) -> WorkerReport:
    """Return how far this process is, after noting what the others have spent.

    Args:
        ceiling_usd: US dollars that all may spend together; None for no ceiling.
        spent_usd: What all had spent when they were asked last, earlier starts of the run included.
        of_each: What each process had spent of it, by its address.
        dask_worker: This process; Dask fills it in.
    """
    engine = process.engine()
    engine.spending.ceiling_usd = ceiling_usd
    engine.spending.elsewhere_usd = spent_usd - of_each.get(dask_worker.address, 0.0)
    return WorkerReport(counts=dict(engine.counts), spent_usd=engine.spending.spent_usd)


def stop(reason: str) -> None:
    """Cancel every request of this process; its chunks end, with what was answered stored."""
    process.engine().stop(RunStoppedError(reason))


def add_up(reports: list[Mapping[str, ModelCounts]]) -> dict[str, ModelCounts]:
    """Return the counts of several processes, each figure added up by label."""
    total: dict[str, ModelCounts] = {}
    for counts in reports:
        for label, more in counts.items():
            known = total.setdefault(label, ModelCounts())
            for figure in fields(ModelCounts):
                setattr(known, figure.name, getattr(known, figure.name) + getattr(more, figure.name))
    return total
