"""The rows of a run -> what it has asked, used and spent, in all starts together."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from rageval.records import Chunk
from rageval.runs.manifest import KnownUsage, ModelUsage, RunTotals
from rageval.runs.parts import ChunkTable
from rageval.runs.run import Run
from rageval.tables import SCHEMAS

_ROLES: tuple[tuple[ChunkTable, str], ...] = (("answers", "answers"), ("scores", "verdicts"))
"""Each table, and what its rows are called."""
_COUNTS = ("requests", "replies", "replies_without_usage")
_KNOWN = ("prompt_tokens", "completion_tokens", "cost_usd")
"""Columns that are null where the server, or the price table, does not say."""
_CACHED = "cached_tokens"
"""Of the prompt tokens, where a server says that any were read from its cache."""
_COLUMNS = ("attempts", "status", *_KNOWN, _CACHED)
_ASKED = {"answers": "system", "scores": "judge_model"}
"""The column of each table that says who was asked."""


def spent_usd(run: Run, systems: Sequence[str], chunks: Sequence[Chunk]) -> float | None:
    """Return the dollars of all stored rows, merged or not; None if the cost of any reply is unknown."""
    order = [(system, chunk) for system in systems for chunk in chunks]
    used = [_used(_stored(run, table, order)) for table, _ in _ROLES]
    costs = [of_table["cost_usd"] for of_table in used]
    return None if None in costs else sum(costs)


def _stored(run: Run, table: ChunkTable, order: Sequence[tuple[str, Chunk]]) -> pa.Table:
    if run.has(table) and not run.has_unmerged(table):
        return run.read(table, _COLUMNS)
    schema = pa.schema([SCHEMAS[table].field(name) for name in _COLUMNS])
    parts = (run.stored(table, system, chunk).values() for system, chunk in order)
    return pa.concat_tables(
        [schema.empty_table(), *(pa.Table.from_pylist(list(rows), schema=schema) for rows in parts)]
    )


def actual(run: Run) -> tuple[ModelUsage, ...]:
    """Return what was used per model and role, see `totals`."""
    return tuple(
        ModelUsage(model=name, role=role, calls=used.pop("requests"), reused=_reused(rows).num_rows, **used)
        for role, name, rows in _asked(run)
        for used in [_used(rows)]
    )


def totals(run: Run) -> RunTotals:
    """Return requests, tokens and dollars of the whole run.

    Tokens and dollars are None where those of any reply are unknown, and `at_least` has the sums of the known ones.
    """
    found = [_used(run.read(table, _COLUMNS)) for table, _ in _ROLES if run.has(table)]
    result: dict[str, Any] = {name: sum(used[name] for used in found) for name in _COUNTS}
    for name in _KNOWN:
        values = [used[name] for used in found]
        result[name] = None if None in values else sum(values)
    cached = [used[_CACHED] for used in found if used[_CACHED] is not None]
    result[_CACHED] = sum(cached) if cached else None
    least = {name: sum(used["at_least"][name] for used in found) for name in _KNOWN}
    return RunTotals(**result, at_least=KnownUsage(**least))


def unknown(run: Run) -> list[str]:
    """Return a sentence for each model that has replied without saying how many tokens that took."""
    by_model: dict[str, list[pa.Table]] = {}
    for _, name, rows in _asked(run):
        by_model.setdefault(name, []).append(rows.select(list(_COLUMNS)))
    sentences = []
    for name, tables in by_model.items():
        used = _used(pa.concat_tables(tables))
        if without := used["replies_without_usage"]:
            what = "tokens" if used["cost_usd"] is not None else "tokens and cost"
            replies = f"{without:,} of {used['replies']:,} replies of {name}"
            sentences.append(f"{replies} carried no usage, so their {what} are unknown")
    return sentences


def reused(run: Run) -> list[str]:
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


def _asked(run: Run) -> Iterator[tuple[str, str, pa.Table]]:
    """Yield the rows that a model was asked for, by role and model."""
    for table, role in _ROLES:
        if run.has(table):
            rows = run.read(table, [*_COLUMNS, _ASKED[table], "request_fingerprint", "reused_from"])
            rows = rows.filter(pc.is_valid(rows["request_fingerprint"]))  # not what a panel comes to
            names = _models(run, rows) if table == "answers" else rows["judge_model"]
            for name in pc.unique(names).drop_null().to_pylist():
                yield role, name, rows.filter(pc.equal(names, name))


def _models(run: Run, answers: pa.Table) -> pa.Array:
    """Return the model of each answer's system."""
    systems = run.read("systems")
    names = pc.coalesce(systems["model"], systems["system"])  # of systems of their user's own, their name
    models = dict(zip(systems["system"].to_pylist(), names.to_pylist(), strict=True))
    known = pa.array([models[name] for name in systems["system"].to_pylist()], pa.string())
    return known.take(pc.index_in(answers["system"].cast(pa.string()), value_set=systems["system"].combine_chunks()))


def _used(rows: pa.Table) -> dict[str, Any]:
    """Return what rows have used, by the names of `totals`."""
    paid = rows.filter(pc.greater(rows["attempts"], 0))
    known = pc.or_(pc.is_valid(paid["cost_usd"]), pc.is_valid(paid["prompt_tokens"]))
    replies = paid.filter(pc.or_(pc.not_equal(paid["status"], "failed"), known))
    without = pc.or_(pc.is_null(replies["prompt_tokens"]), pc.is_null(replies["completion_tokens"]))
    sums = {name: pc.sum(replies[name]).as_py() or 0 for name in _KNOWN}
    return {
        "requests": pc.sum(paid["attempts"]).as_py() or 0,
        "replies": replies.num_rows,
        "replies_without_usage": pc.sum(without).as_py() or 0,
        **{name: None if replies[name].null_count else sums[name] for name in _KNOWN},
        _CACHED: pc.sum(replies[_CACHED]).as_py(),
        "at_least": sums,
    }


def _reused(rows: pa.Table) -> pa.Table:
    """Return the rows that an earlier run asked for."""
    return rows.filter(pc.is_valid(rows["reused_from"]))
