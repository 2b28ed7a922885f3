"""Request -> the reply that an earlier run of the same output folder got to it.

Only what could be used is found: answers, and verdicts that could be read. Files that cannot be read, and those of
others, are passed over.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rageval.engine.requests import ChatReply
from rageval.metrics.names import metric_of
from rageval.runs.run import Run
from rageval.storage.files import readable
from rageval.storage.places import Place, changed_ns

_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "answers": ("request_fingerprint", "status", "answer", "thinking", "finish_reason", "started_at", "reused_from"),
    "scores": ("request_fingerprint", "status", "metric", "label", "reason", "thinking", "reused_from"),
}
_ALONE: Final = ""
"""What a reply is looked for as that is no verdict among several."""


@dataclass(frozen=True)
class _Replies:
    """The replies of earlier runs by fingerprint, see `rageval.text.fingerprint.request_fingerprint`."""

    tables: tuple[tuple[str, pa.Table], ...]
    """For each file the run's id and its usable rows."""
    places: Mapping[tuple[str, str], tuple[int, int]]
    """For each fingerprint, and each metric that it brought a verdict on, the table and the row; of several replies the
    one of the newest file."""


class EarlierRuns:
    """All runs beside one; their replies are read when the first one is wanted, as they are then."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._reading = threading.Lock()
        self._read: _Replies | None = None

    def reply(self, fingerprint: str, verdicts: Sequence[str] = ()) -> ChatReply | None:
        """Return the reply to the same request, as one that cost nothing now, or None if there is none.

        Args:
            fingerprint: Of the request.
            verdicts: Names of the verdicts that the reply has to bring, all of them, if it is to bring several.
        """
        replies = self._replies()
        rows: dict[str, dict[str, Any]] = {}
        for name in verdicts or (_ALONE,):
            place = replies.places.get((fingerprint, name))
            if place is None:
                return None
            run_id, table = replies.tables[place[0]]
            (rows[name],) = table.slice(place[1], 1).to_pylist()
        row = next(iter(rows.values()))
        return ChatReply(
            text=row["answer"] if "answer" in row else _verdict_text(rows),
            error=None,
            attempts=0,
            thinking=row["thinking"],
            finish_reason=row.get("finish_reason"),
            cost_usd=0.0,
            started_at=row.get("started_at") or datetime.now(UTC),
            reused_from=row["reused_from"] or run_id,
        )

    def _replies(self) -> _Replies:
        with self._reading:
            self._read = self._read or _replies_beside(self._run)
            return self._read


def _replies_beside(run: Run) -> _Replies:
    output = run.path.parent
    tables: list[tuple[str, pa.Table]] = []
    places: dict[tuple[str, str], tuple[int, int]] = {}
    for path, name in _files(output):
        run_id = path.relative_to(str(output)).parts[0]
        rows = None if run_id == run.run_id else _usable(path, name)
        if rows is None:
            continue
        for number, (fingerprint, metric) in enumerate(_named(rows)):
            places.setdefault((fingerprint, _ALONE), (len(tables), number))
            places.setdefault((fingerprint, metric), (len(tables), number))
        tables.append((run_id, rows))
    return _Replies(tables=tuple(tables), places=places)


def _files(output: Place) -> Iterator[tuple[Place, str]]:
    """Yield tables and parts of all runs, the newest first."""
    found = [
        (path, table) for table in _COLUMNS for pattern in (f"*/{table}.parquet", f"*/parts/{table}/*.parquet")
        for path in output.glob(pattern)
    ]  # fmt: skip
    yield from sorted(found, key=lambda item: (changed_ns(item[0]), str(item[0])), reverse=True)


def _usable(path: Place, table: str) -> pa.Table | None:
    """Return the rows whose reply can be used, or None if the file is damaged or holds something else."""
    try:
        with pq.ParquetFile(readable(path), page_checksum_verification=True) as file:
            if not set(_COLUMNS[table]) <= set(file.schema_arrow.names):
                return None
            rows = file.read(columns=list(_COLUMNS[table]))
            known = pc.and_(pc.equal(rows["status"], "ok"), pc.is_valid(rows["request_fingerprint"]))
            return rows.filter(known)
    except (pa.ArrowException, OSError):
        return None


def _named(rows: pa.Table) -> Iterator[tuple[str, str]]:
    """Yield the fingerprint of each row, and the metric that it is a verdict on."""
    fingerprints = rows["request_fingerprint"].to_pylist()
    metrics = rows["metric"].to_pylist() if "metric" in rows.column_names else [_ALONE] * len(fingerprints)
    yield from ((fingerprint, metric_of(name)) for fingerprint, name in zip(fingerprints, metrics, strict=True))


def _verdict_text(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return verdicts as a judge replies with them: one as it is, several by name."""
    said = {name: {"reason": row["reason"] or "", "label": row["label"]} for name, row in rows.items()}
    return orjson.dumps(said.get(_ALONE, said)).decode()
