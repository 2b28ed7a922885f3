"""The folder of one run: Parquet tables, parts of chunks, journals, `run.json`, the report, and the lock.

    runs/<run_id>/
        documents.parquet questions.parquet retrieval.parquet answers.parquet scores.parquet summary.parquet
        run.json report.html
        parts/<table>/<chunk>.parquet      finished chunks, until they are merged into the table
        journal/<table>/<chunk>.jsonl      finished records of the chunk that is being worked on

A record counts as stored once it stands in the journal: a later row of the same key replaces an earlier one,
and journal beats part beats table. Every file but the journal is written under a temporary name and renamed.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import filelock
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from rageval.adapters import run_repair
from rageval.adapters.run_files import read_parquet, replacing, write_parquet, writing
from rageval.errors import ConfigError, DataError, RunLockedError
from rageval.records import Answer, Chunk, Score
from rageval.tables import SCHEMAS, to_row

ChunkTable: TypeAlias = Literal["answers", "scores"]
Row: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, ...]
_UNREADABLE = (ValueError, TypeError, AttributeError, pa.ArrowException)
_KEYS: Mapping[ChunkTable, tuple[str, ...]] = {"answers": ("question_id",), "scores": ("question_id", "metric")}


class Journal:
    """Appends finished records of one chunk, one JSON line each, so that a kill loses none of them."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        with writing(self._folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)

    def append(self, record: Answer | Score) -> None:
        """Write a record; it is safe from the death of this process when this returns.

        Raises:
            RunStoppedError: If it cannot be written.
        """
        line = memoryview(orjson.dumps(to_row(record)) + b"\n")
        with writing(self._folder):
            while line:  # a disk that fills up takes a part, and refuses the rest with an error
                line = line[self._file.write(line) :]

    def close(self) -> None:
        """Close the file; the records stay."""
        self._file.close()


@dataclass(frozen=True)
class RunStore:
    """One run's folder. Cheap to make and to pickle; holds no open files."""

    folder: str

    @property
    def path(self) -> Path:
        """The run's folder."""
        return Path(self.folder)

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def cache(self) -> Path:
        """Where all runs of the same output folder keep indexes and embeddings."""
        return self.path.parent / ".cache"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process, or fail at once; the lock dies with the process.

        Raises:
            ConfigError: If the folder cannot be written.
            RunLockedError: If another process holds it.
        """
        lock = filelock.FileLock(self.path / ".lock", blocking=False)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout:
            raise RunLockedError(
                f"the run {self.run_id!r} in {self.path.parent} is being worked on by another process; "
                "wait for it, or give another --run-id"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"the output folder {self.path.parent} cannot be written ({error.strerror}); "
                "give a writable one with --output"
            ) from error
        try:
            yield
        finally:
            lock.release()

    def repair(self) -> list[str]:
        """Set damaged files aside and remove what a kill left half-written; returns a sentence for each.

        What stood in a damaged file counts as missing from then on, so it is computed or asked again.
        """
        return run_repair.repair(self.path, _read_line)

    def has(self, table: str) -> bool:
        """Return whether the table has been written."""
        return self._table_path(table).exists()

    def has_unmerged(self, table: ChunkTable) -> bool:
        """Return whether chunks are stored that the table does not hold yet."""
        return any(any(self.path.glob(files)) for files in (f"parts/{table}/*.parquet", f"journal/{table}/*.jsonl"))

    def write(self, table: str, rows: pa.Table) -> None:
        """Replace a table as a whole."""
        write_parquet(self._table_path(table), [rows], SCHEMAS[table])

    def read(self, table: str) -> pa.Table:
        """Return a table.

        Raises:
            DataError: If it is missing or damaged.
        """
        path = self._table_path(table)
        try:
            return read_parquet(path)
        except FileNotFoundError:
            raise DataError(f"{path} does not exist; is {self.folder} the folder of a run that got this far?") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}); move it away and start the run again") from error

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Replace a JSON file as a whole."""
        self.write_text(name, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file's content, empty if there is none.

        Raises:
            DataError: If it is damaged.
        """
        try:
            value: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise DataError(f"{self.path / name} is not valid JSON ({error}); move it away to start afresh") from error
        return value

    def write_text(self, name: str, text: str) -> None:
        """Replace a text file as a whole."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    def journal(self, table: ChunkTable, model: str, chunk: Chunk) -> Journal:
        """Open the journal of a chunk for appending; a half-written last line is closed off first."""
        path = self._journal_path(table, model, chunk)
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            with path.open("ab") as file:
                file.write(b"\n")
        return Journal(path)

    def stored(self, table: ChunkTable, model: str, chunk: Chunk) -> dict[Key, Row]:
        """Return the rows that are there for a chunk, by question id (and metric), the latest of each."""
        rows = dict(self._merged_rows(table, model, chunk))
        for row in [*self._part_rows(table, model, chunk), *self._journal_rows(table, model, chunk)]:
            rows[_key(table, row)] = row
        return rows

    def finish_chunk(self, table: ChunkTable, model: str, chunk: Chunk, order: Sequence[Key]) -> dict[Key, Row]:
        """Turn everything stored for a chunk into its part, end its journal, and return the rows, as from `stored`.

        Rows whose keys are not in the order were stored by another step; they come after the others.
        """
        rows = self.stored(table, model, chunk)
        keys = [key for key in dict.fromkeys([*order, *rows]) if key in rows]
        part = pa.Table.from_pylist([rows[key] for key in keys], schema=SCHEMAS[table])
        write_parquet(self._part_path(table, model, chunk), [part], SCHEMAS[table])
        self._journal_path(table, model, chunk).unlink(missing_ok=True)
        return rows

    def merge_chunks(self, table: ChunkTable, chunks: Iterable[tuple[str, Chunk]]) -> None:
        """Write all chunks' rows into the one table, then remove parts and journals."""
        chunks = list(chunks)
        if not self.has_unmerged(table) and self.has(table):
            return
        parts = (
            pa.Table.from_pylist(list(self.stored(table, model, chunk).values()), schema=SCHEMAS[table])
            for model, chunk in chunks
        )
        write_parquet(self._table_path(table), parts, SCHEMAS[table])
        for model, chunk in chunks:
            self._part_path(table, model, chunk).unlink(missing_ok=True)
            self._journal_path(table, model, chunk).unlink(missing_ok=True)
        for kind in ("parts", "journal"):
            for folder in (self.path / kind / table, self.path / kind):
                with contextlib.suppress(OSError):  # not empty, or not there
                    folder.rmdir()

    def _table_path(self, table: str) -> Path:
        return self.path / f"{table}.parquet"

    def _part_path(self, table: str, model: str, chunk: Chunk) -> Path:
        return self.path / "parts" / table / f"{_chunk_name(model, chunk)}.parquet"

    def _journal_path(self, table: str, model: str, chunk: Chunk) -> Path:
        return self.path / "journal" / table / f"{_chunk_name(model, chunk)}.jsonl"

    def _merged_rows(self, table: ChunkTable, model: str, chunk: Chunk) -> dict[Key, Row]:
        path = self._table_path(table)
        try:
            changed = path.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        question_ids = self.read("questions")["question_id"].slice(chunk.start, chunk.stop - chunk.start)
        merged = _merged(path, changed)
        wanted = pc.and_(
            pc.is_in(merged["question_id"], value_set=question_ids.combine_chunks()),
            pc.and_(pc.equal(merged["model"], model), pc.equal(merged["search_method"], chunk.search_method)),
        )
        return {_key(table, row): row for row in merged.filter(wanted).to_pylist()}

    def _part_rows(self, table: ChunkTable, model: str, chunk: Chunk) -> list[Row]:
        path = self._part_path(table, model, chunk)
        if not path.exists():
            return []
        try:
            rows: list[Row] = read_parquet(path).to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}); start the run again, which sets it aside") from error
        return rows

    def _journal_rows(self, table: ChunkTable, model: str, chunk: Chunk) -> list[Row]:
        path = self._journal_path(table, model, chunk)
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        return _read_lines(table, lines)


def _read_lines(table: str, lines: Sequence[bytes]) -> list[Row]:
    """Return the records of a journal; all are checked at once, and one by one only if any cannot be read."""
    try:
        return _checked(table, [orjson.loads(line) for line in lines if line])
    except _UNREADABLE:
        return [row for line in lines if (row := _read_line(table, line)) is not None]


def _read_line(table: str, line: bytes) -> Row | None:
    """Return a journal's record, or None for the line that a kill cut short or that is damaged."""
    try:
        return _checked(table, [orjson.loads(line)])[0]
    except _UNREADABLE:
        return None


def _checked(table: str, rows: list[Row]) -> list[Row]:
    """Return the rows with their times as such.

    Raises:
        ValueError, TypeError, AttributeError, pyarrow.ArrowException: If any of them does not fit the table.
    """
    for row in rows:
        if "started_at" in row:
            row["started_at"] = datetime.fromisoformat(row["started_at"])
    pa.Table.from_pylist(rows, schema=SCHEMAS[table])
    needed = {field.name for field in SCHEMAS[table] if not field.nullable}
    if not all(row.keys() >= needed for row in rows):
        raise ValueError(f"a row lacks a column of {table}")
    return rows


def _key(table: ChunkTable, row: Row) -> Key:
    return tuple(row[column] for column in _KEYS[table])


def _chunk_name(model: str, chunk: Chunk) -> str:
    slug = re.sub(r"[^A-Za-z0-9.-]+", "-", model)[:60]
    tag = hashlib.sha256(model.encode()).hexdigest()[:6]
    return f"{slug}-{tag}-{chunk.search_method}-{chunk.number:06d}"


@lru_cache(maxsize=2)
def _merged(path: Path, changed: int) -> pa.Table:
    """Read a merged table once, until it changes."""
    del changed  # part of the cache's key
    return read_parquet(path)
