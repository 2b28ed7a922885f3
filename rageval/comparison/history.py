"""The runs of an output folder -> how each metric went over time; what cannot be read is named and left out."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from rageval.comparison.history_page import History
from rageval.comparison.measurements import Key, Subject
from rageval.comparison.trends import RunSummary, chosen, history_table, trends
from rageval.errors import DataError
from rageval.runs.folders import read_columns, run_folders
from rageval.runs.manifest import MANIFEST, read_manifest
from rageval.runs.run import Run
from rageval.storage.places import place

_SUMMARY = ("system", "retriever", "metric", "n", "n_scored", "mean", "ci_low", "ci_high")
_MEASURED = ("system", "metric", "status", "metric_version", "judge_model")


def history(folder: str, metrics: Sequence[str] = ()) -> History:
    """Return how metrics went over the runs of a folder.

    Args:
        folder: The output folder that holds one folder per run.
        metrics: Names, with or without `@k`; empty for those of the headline.

    Raises:
        DataError: If the folder cannot be read, holds no run that can be, or none has any of the metrics.
    """
    found = run_folders(folder)
    notes = [f"{name} holds no run (no {MANIFEST})" for name in found.foreign]
    runs = []
    for run in found.runs:
        try:
            runs.append(_read(run))
        except DataError as error:
            notes.append(f"{run.run_id} cannot be read: {error}")
    if not runs:
        reasons = "".join(f"\n- {note}" for note in notes)
        raise DataError(f"{folder} holds no run with a summary; give the --output of `rageval evaluate`{reasons}")
    all_trends = trends(runs)
    selected = chosen(all_trends, metrics)
    if not selected:
        known = ", ".join(trend.metric for trend in all_trends) or "none"
        raise DataError(f"no run of {folder} has {', '.join(metrics) or 'a leading metric'}; they have {known}")
    return History(
        folder=place(folder).name or folder,
        runs=len(runs),
        trends=selected,
        table=history_table(all_trends),
        notes=notes,
    )


def _read(run: Run) -> RunSummary:
    manifest = read_manifest(run)
    if not run.has("summary"):
        raise DataError(f"it has no summary (status: {manifest.status})")
    rows = read_columns(run, "summary", _SUMMARY).to_pylist()
    measured = read_columns(run, "scores", _MEASURED) if run.has("scores") else None
    return RunSummary(
        run_id=run.run_id,
        manifest=manifest,
        rows=rows,
        versions=_distinct(measured, "metric_version"),
        judges=_distinct(measured, "judge_model"),
    )


def _distinct(scores: pa.Table | None, column: str) -> dict[Key, str]:
    """Return the different values of a column by system and metric, joined."""
    if scores is None:
        return {}
    keys = ["system", "metric"]
    groups = scores.filter(pc.equal(scores["status"], "ok")).group_by([*keys, column]).aggregate([]).to_pylist()
    found: dict[Key, set[str]] = {}
    for row in groups:
        if row[column] is not None:
            found.setdefault((Subject(name=row["system"]), row["metric"]), set()).add(row[column])
    return {key: ", ".join(sorted(values)) for key, values in found.items()}
