"""The rows of a run -> what it has asked, used and spent, in all starts together."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rageval.adapters.run_store import ChunkTable, RunStore
from rageval.config import EvaluationConfig
from rageval.records import Chunk

_ROLES: tuple[tuple[ChunkTable, str, str], ...] = (
    ("answers", "answers", "model"),
    ("scores", "verdicts", "judge_model"),
)
"""Each table, what its rows are called, and the column that names who was asked."""


def spent_usd(run: RunStore, config: EvaluationConfig, chunks: Sequence[Chunk]) -> float:
    """Return the dollars of all stored rows, merged or not; a row of unknown cost counts as nothing."""
    order = [(model.name, chunk) for model in config.answers.models for chunk in chunks]
    return sum(_spent_on(run, table, order) for table, _, _ in _ROLES)


def _spent_on(run: RunStore, table: ChunkTable, order: Sequence[tuple[str, Chunk]]) -> float:
    if run.has(table) and not run.has_unmerged(table):
        return float(pc.sum(run.read(table)["cost_usd"]).as_py() or 0.0)
    rows = (row for model, chunk in order for row in run.stored(table, model, chunk).values())
    return sum(row["cost_usd"] or 0.0 for row in rows)


def actual(run: RunStore) -> list[dict[str, Any]]:
    """Return requests, tokens and dollars per model and role; dollars are None if any price is unknown."""
    return [_sums(rows, name, role) for role, name, rows in _asked(run)]


def reused(run: RunStore) -> list[str]:
    """Return a sentence about what was taken from earlier runs, if anything was."""
    counts: dict[str, int] = {}
    sources: set[str] = set()
    for role, _, rows in _asked(run):
        taken = _reused(rows)
        counts[role] = counts.get(role, 0) + taken.num_rows
        sources |= set(taken["reused_from"].to_pylist()) if taken.num_rows else set()
    if not sources:
        return []
    what = " and ".join(f"{count} {role}" for role, count in counts.items() if count)
    return [f"{what} were taken from earlier runs and not asked for: {', '.join(sorted(sources))}"]


def _asked(run: RunStore) -> Iterator[tuple[str, str, pa.Table]]:
    for table, role, column in _ROLES:
        if run.has(table):
            rows = run.read(table)
            rows = rows.filter(pc.is_valid(rows["request_fingerprint"]))  # not what a panel comes to
            for name in rows[column].unique().drop_null().to_pylist():
                yield role, name, rows.filter(pc.equal(rows[column], name))


def _sums(rows: pa.Table, model: str, role: str) -> dict[str, Any]:
    paid = rows.filter(pc.greater(rows["attempts"], 0))
    unpriced = pc.sum(pc.and_(pc.is_valid(paid["prompt_tokens"]), pc.is_null(paid["cost_usd"]))).as_py()
    return {
        "model": model,
        "role": role,
        "calls": pc.sum(paid["attempts"]).as_py() or 0,
        "prompt_tokens": pc.sum(paid["prompt_tokens"]).as_py() or 0,
        "completion_tokens": pc.sum(paid["completion_tokens"]).as_py() or 0,
        "cost_usd": None if unpriced else pc.sum(paid["cost_usd"]).as_py() or 0.0,
        "reused": _reused(rows).num_rows,
    }


def _reused(rows: pa.Table) -> pa.Table:
    """Return the rows that an earlier run asked for; tables of older versions have no such column."""
    if "reused_from" not in rows.column_names:
        return rows.slice(0, 0)
    return rows.filter(pc.is_valid(rows["reused_from"]))
