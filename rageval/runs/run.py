"""The folder of one run: Parquet tables, parts of chunks, journals, `run.json`, the report, and the lock.

    runs/<run_id>/
        documents.parquet questions.parquet systems.parquet retrieval.parquet answers.parquet scores.parquet ...
        run.json report.html
        parts/<part>/<chunk>.parquet       finished chunks, until they are merged into their table
        journal/<part>/<chunk>.jsonl       finished records of the chunk that is being worked on

Answers and scores are stored chunk by chunk. The table of scores has two parts of each chunk, with a writer each: what
judges were asked for, and what is computed behind them, see `rageval.runs.parts`. A record counts as stored once it
stands in the journal: a later row of the same key replaces an earlier one, and journal beats part beats table. Every
file but the journal is written under a temporary name and renamed.

On an object store the folder is the same but for two things: `.lock` holds a lease, and as nothing can be added to an
object, each writer of a chunk has a journal of its own, `journal/<part>/<chunk>.<time>-<token>.jsonl`.
"""

import contextlib
import hashlib
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import filelock
import pyarrow as pa

from rageval.errors import ConfigError, DataError, RunLockedError
from rageval.records import Chunk, Score
from rageval.runs import repair as run_repair
from rageval.runs.journals import Journal, Row, read_line, read_lines
from rageval.runs.merged_rows import merged_rows
from rageval.runs.parts import KEYS, PARTS, ChunkTable, Part, table_of
from rageval.safety.allowances import check_output
from rageval.safety.urls import shown as shown_url
from rageval.safety.variables import filled_in
from rageval.storage.files import read_parquet, replacing, write_parquet
from rageval.storage.leases import LEASE_S, lease
from rageval.storage.mapped import mapped_table
from rageval.storage.places import Place, StorePath, first_look, matching, place
from rageval.storage.stored_rows import StoredRows, stored_rows
from rageval.tables import SCHEMAS, SHARED, to_row

if TYPE_CHECKING:
    import pandas as pd

REPORT: Final = "report.html"
"""The page of a run, in its folder."""
Key: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One run's folder. Cheap to make and to pickle; holds no open files.

    Methods raise RunStoppedError where the run lies on an object store and that cannot be used.
    """

    folder: str
    """Path, or URL on an object store."""

    @property
    def path(self) -> Place:
        """The run's folder.

        Raises:
            ConfigError: If the run that this process works on may not use it.
        """
        check_output(filled_in(self.folder), shown_url(self.folder))
        return place(self.folder)

    @property
    def run_id(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def cache(self) -> Place:
        """Where all runs of the same output folder keep indexes and embeddings."""
        return self.path.parent / ".cache"

    @contextlib.contextmanager
    def lock(self, lease_s: float = LEASE_S) -> Iterator[None]:
        """Hold the run for this process, or fail at once; the lock dies with the process.

        Args:
            lease_s: Seconds that the lock outlives its process on an object store, where nothing sees that it died.

        Raises:
            ConfigError: If the folder cannot be written.
            RunLockedError: If another process holds it.
        """
        with contextlib.ExitStack() as held:
            if isinstance(self.path, StorePath):
                self._lease(self.path / ".lock", held, lease_s)
            else:
                self._lock_file(self.path, held)
            yield

    def _lock_file(self, folder: Path, held: contextlib.ExitStack) -> None:
        lock = filelock.FileLock(folder / ".lock", blocking=False)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout:
            raise RunLockedError(self._locked()) from None
        except OSError as error:
            raise ConfigError(
                f"the output folder {folder.parent} cannot be written ({error.strerror}); "
                "give a writable one with --output"
            ) from error
        held.callback(lock.release)

    def _lease(self, name: StorePath, held: contextlib.ExitStack, lease_s: float) -> None:
        try:
            with first_look():
                held.enter_context(lease(name, lease_s=lease_s))
        except RunLockedError as error:
            raise RunLockedError(f"{self._locked()} (held by {error})") from None
        except OSError:  # what a store says where there is no such bucket
            raise ConfigError(
                f"the output folder {self.path.parent} cannot be written: there is no such bucket; create it, or give "
                "another --output"
            ) from None

    def _locked(self) -> str:
        return (
            f"the run {self.run_id!r} in {self.path.parent} is being worked on by another process; wait for it, or "
            "give another --run-id"
        )

    def repair(self) -> list[str]:
        """Set damaged files aside and remove what a kill left half-written; returns a sentence for each.

        What stood in a damaged file counts as missing from then on, so it is computed or asked again.
        """
        return run_repair.repair(self.path, read_line)

    def has(self, table: str) -> bool:
        """Return whether the table has been written."""
        return self._table_path(table).exists()

    def has_unmerged(self, table: ChunkTable) -> bool:
        """Return whether chunks are stored that the table does not hold yet."""
        files = [file for part in PARTS[table] for file in (f"parts/{part}/*.parquet", f"journal/{part}/*.jsonl")]
        return any(any(self.path.glob(file)) for file in files)

    def write(self, table: str, rows: pa.Table) -> None:
        """Replace a table as a whole."""
        write_parquet(self._table_path(table), [rows], SCHEMAS[table])

    def write_parts(self, table: str, parts: Iterable[pa.Table]) -> None:
        """Replace a table by one that comes part by part."""
        write_parquet(self._table_path(table), parts, SCHEMAS[table])

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a table, or those of its columns: then texts that many rows share come as dictionaries.

        Raises:
            DataError: If it is missing or damaged.
        """
        path = self._table_path(table)
        with self._reading(path):
            return read_parquet(path, columns, [name for name in columns or () if name in SHARED])

    def rows(self, table: str) -> StoredRows:
        """Return the rows of a table, of which few are in memory at a time.

        Raises:
            DataError: If it is missing or damaged.
        """
        path = self._table_path(table)
        with self._reading(path):
            return stored_rows(path)

    def mapped(self, table: str) -> pa.Table:
        """Return a table whose texts, where it has many rows, come from disk when they are looked at.

        Raises:
            DataError: If it is missing or damaged.
        """
        path = self._table_path(table)
        with self._reading(path):
            return mapped_table(path)

    def count(self, table: str) -> int:
        """Return how many rows a table has.

        Raises:
            DataError: If it is missing or damaged.
        """
        return len(self.rows(table))

    @contextlib.contextmanager
    def _reading(self, path: Place) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise DataError(f"{path} does not exist; is {self.folder} the folder of a run that got this far?") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}); move it away and start the run again") from error

    def summary(self) -> "pd.DataFrame":
        """Return a row per system or retriever and metric: n, n_scored, mean, 95 % interval; see `tables.SUMMARY`.

        Raises:
            DataError: If the run has not got as far as its report.
        """
        return self.read("summary").to_pandas()

    def answers(self) -> "pd.DataFrame":
        """Return a row per question and system: answer or error, contexts, tokens, cost; see `tables.ANSWERS`.

        Raises:
            DataError: If there are none yet.
        """
        return self.read("answers").to_pandas()

    def scores(self) -> "pd.DataFrame":
        """Return a row per answer and metric: value, label, reason, or why there is none; see `tables.SCORES`.

        Raises:
            DataError: If there are none yet.
        """
        return self.read("scores").to_pandas()

    def questions(self) -> "pd.DataFrame":
        """Return a row per question: its text and the documents that answer it; see `tables.QUESTIONS`.

        Raises:
            DataError: If there are none yet.
        """
        return self.read("questions").to_pandas()

    def comparisons(self) -> "pd.DataFrame":
        """Return a row per two systems or retrievers and metric: candidate - baseline; see `tables.COMPARISONS`.

        Raises:
            DataError: If the run has not got as far as its report.
        """
        return self.read("comparisons").to_pandas()

    def failures(self) -> "pd.DataFrame":
        """Return what has no value: `question_id`, `system`, `what` (`answer`, or the metric), `status`, `error`.

        Raises:
            DataError: If there are no answers yet.
        """
        import pandas as pd  # noqa: PLC0415 - slow to import, and a run is opened for more than its frames

        answers = self.answers().assign(what="answer").query("status != 'ok'")
        scores = self.scores().rename(columns={"metric": "what"}).query("status != 'ok'")
        columns = ["question_id", "system", "what", "status", "error"]
        return pd.concat([answers[columns], scores[columns]], ignore_index=True)

    def _repr_html_(self) -> str:
        """Show the run as its summary, in a notebook."""
        if not self.has("summary"):
            return f"<p>Run {html.escape(self.run_id)}: no summary yet</p>"
        shown = ["system", "retriever", "metric", "mean", "ci_low", "ci_high", "n_scored", "n"]
        table: str = self.summary()[shown].to_html(index=False, na_rep="", float_format="{:.3f}".format)
        return f"<p>Run {html.escape(self.run_id)} in {html.escape(shown_url(self.folder))}</p>{table}"

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
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError as error:
            raise DataError(f"{self.path / name} is not valid JSON ({error}); move it away to start afresh") from error
        return value

    def write_text(self, name: str, text: str) -> None:
        """Replace a text file as a whole."""
        with replacing(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")

    def journal(self, part: Part, system: str, chunk: Chunk) -> Journal:
        """Open a journal of a chunk for appending; a half-written last line is closed off first."""
        path = self._journal_path(part, system, chunk)
        if isinstance(path, StorePath):
            path = path.with_name(f"{path.stem}.{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{token_hex(3)}{path.suffix}")
        return Journal(path)

    def stored(self, table: ChunkTable, system: str, chunk: Chunk) -> dict[Key, Row]:
        """Return the rows that are there for a chunk, by question id (and metric), the latest of each."""
        # Read in the order in which rows move on, so that none is missed on its way.
        unmerged = [self._unmerged_rows(part, system, chunk) for part in PARTS[table]]
        rows = self._merged_rows(table, system, chunk)
        for of_part in unmerged:
            rows |= of_part
        return rows

    def finish_chunk(
        self, part: Part, system: str, chunk: Chunk, order: Sequence[Key], added: Iterable[Score] = ()
    ) -> dict[Key, Row]:
        """Turn what is stored for a chunk by the writer of this part into one file, and end its journal.

        Args:
            part: Whose rows.
            system: Whose answers, or scores of whose answers, they are.
            chunk: The chunk.
            order: Keys of the rows in their order. Rows of other keys were stored by another step; they come after.
            added: Records that are stored by this alone, in no journal before.

        Returns:
            The rows of the part, and those of its table where it is merged already.
        """
        journals = self._journals(part, system, chunk)
        rows = self._unmerged_rows(part, system, chunk)
        rows |= {_key(part, row): row for row in map(to_row, added)}
        keys = [key for key in dict.fromkeys([*order, *rows]) if key in rows]
        schema = SCHEMAS[table_of(part)]
        table = pa.Table.from_pylist([rows[key] for key in keys], schema=schema)
        write_parquet(self._part_path(part, system, chunk), [table], schema)
        for path in journals:
            path.unlink(missing_ok=True)
        return self._merged_rows(table_of(part), system, chunk) | rows

    def merge_chunks(self, table: ChunkTable, chunks: Iterable[tuple[str, Chunk]]) -> None:
        """Write all chunks' rows into the one table, then remove parts and journals."""
        chunks = list(chunks)
        if not self.has_unmerged(table) and self.has(table):
            return
        self.write_parts(table, (self._stored_table(table, system, chunk) for system, chunk in chunks))
        for part in PARTS[table]:
            for system, chunk in chunks:
                for path in (self._part_path(part, system, chunk), *self._journals(part, system, chunk)):
                    path.unlink(missing_ok=True)
        for folder in (self.path / kind / name for kind in ("parts", "journal") for name in (*PARTS[table], "")):
            if isinstance(folder, Path):  # on a store it has gone with its last file
                with contextlib.suppress(OSError):  # not empty, or not there
                    folder.rmdir()

    def _table_path(self, table: str) -> Place:
        return self.path / f"{table}.parquet"

    def _part_path(self, part: Part, system: str, chunk: Chunk) -> Place:
        return self.path / "parts" / part / f"{_chunk_name(system, chunk)}.parquet"

    def _journal_path(self, part: Part, system: str, chunk: Chunk) -> Place:
        return self.path / "journal" / part / f"{_chunk_name(system, chunk)}.jsonl"

    def _journals(self, part: Part, system: str, chunk: Chunk) -> list[Place]:
        """Return the journals of a chunk that are there, the oldest first."""
        path = self._journal_path(part, system, chunk)
        if isinstance(path, StorePath):
            return matching(path.parent, f"{path.stem}.*{path.suffix}")
        return [path] if path.exists() else []

    def _stored_table(self, table: ChunkTable, system: str, chunk: Chunk) -> pa.Table:
        """Return what `stored` does, as a table; most often it is the parts as they stand."""
        parts = PARTS[table]
        if not self.has(table) and not any(self._journals(part, system, chunk) for part in parts):
            found = (self._part(part, system, chunk) for part in parts)
            return pa.concat_tables([SCHEMAS[table].empty_table(), *(one for one in found if one is not None)])
        return pa.Table.from_pylist(list(self.stored(table, system, chunk).values()), schema=SCHEMAS[table])

    def _unmerged_rows(self, part: Part, system: str, chunk: Chunk) -> dict[Key, Row]:
        """Return what a writer has stored for a chunk and no table holds yet."""
        journalled = list(self._journal_rows(part, system, chunk))  # first: its rows move on to the part
        return {_key(part, row): row for row in [*self._part_rows(part, system, chunk), *journalled]}

    def _merged_rows(self, table: ChunkTable, system: str, chunk: Chunk) -> dict[Key, Row]:
        try:
            merged = merged_rows(self._table_path(table), self._table_path("questions"))
        except FileNotFoundError:
            return {}
        return {_key(table, row): row for row in merged.of_chunk(system, chunk).to_pylist()}

    def _part_rows(self, part: Part, system: str, chunk: Chunk) -> list[Row]:
        rows = self._part(part, system, chunk)
        return [] if rows is None else rows.to_pylist()

    def _part(self, part: Part, system: str, chunk: Chunk) -> pa.Table | None:
        path = self._part_path(part, system, chunk)
        try:
            return read_parquet(path)
        except FileNotFoundError:
            return None
        except (pa.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}); start the run again, which sets it aside") from error

    def _journal_rows(self, part: Part, system: str, chunk: Chunk) -> Iterator[Row]:
        for path in self._journals(part, system, chunk):
            with contextlib.suppress(FileNotFoundError):  # another writer has made a part of it meanwhile
                yield from read_lines(part, path.read_bytes().split(b"\n"))


def _key(part: Part | ChunkTable, row: Row) -> Key:
    return tuple(row[column] for column in KEYS[part])


def _chunk_name(system: str, chunk: Chunk) -> str:
    slug = re.sub(r"[^A-Za-z0-9.-]+", "-", system)[:60]
    tag = hashlib.sha256(system.encode()).hexdigest()[:6]
    return f"{slug}-{tag}-{chunk.number:06d}"
