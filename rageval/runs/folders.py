"""An output folder -> the runs that lie in it, and single columns of their tables."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from rageval.config.evaluation import RunOptions
from rageval.errors import DataError
from rageval.runs.run import Run
from rageval.safety.allowances import check_output
from rageval.storage.files import read_parquet, replacing, write_parquet
from rageval.storage.places import first_look, place

_MANIFEST = "run.json"


@dataclass(frozen=True, kw_only=True)
class RunFolders:
    """The folders of an output folder, by name; hidden ones, such as the cache, are left out."""

    runs: tuple[Run, ...]
    foreign: tuple[str, ...]
    """Names of folders without a `run.json`."""


def run_folders(output: str) -> RunFolders:
    """Return what lies in an output folder; nothing is opened yet.

    Raises:
        DataError: If it is no folder, or cannot be read.
        ConfigError: If it is on an object store that cannot be used.
    """
    try:
        with first_look():
            folders = sorted(p for p in place(output).iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"{output} cannot be read as a folder of runs ({error.strerror or 'there is nothing'}); give the --output "
            "of `rageval evaluate`"
        ) from error
    return RunFolders(
        runs=tuple(Run(str(folder)) for folder in folders if (folder / _MANIFEST).is_file()),
        foreign=tuple(folder.name for folder in folders if not (folder / _MANIFEST).is_file()),
    )


def read_columns(run: Run, table: str, columns: Sequence[str]) -> pa.Table:
    """Return some columns of a run's table, every page of them checked; the others are not read.

    Raises:
        DataError: If the table is missing or damaged, or has no such column.
    """
    path = run.path / f"{table}.parquet"
    try:
        found = read_parquet(path, columns)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); start the run again, which sets it aside") from error
    if missing := set(columns) - set(found.column_names):
        raise DataError(f"{path} has no column {', '.join(sorted(missing))}; it is not the table of a run")
    return found


def write_table(path: str, rows: pa.Table) -> None:
    """Write a table to a Parquet file that may lie anywhere.

    Raises:
        RunStoppedError: If it cannot be written.
    """
    write_parquet(place(path), [rows], rows.schema)


def write_page(path: str, text: str) -> None:
    """Write a text to a file that may lie anywhere.

    Raises:
        RunStoppedError: If it cannot be written.
        ConfigError: If the run may not write there.
    """
    check_output(path)
    with replacing(place(path)) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def open_run(options: RunOptions) -> Run:
    """Return the store of the run that is named, or of a new one named after the time.

    Workers of a cluster have working directories of their own, so they are given the whole path.
    """
    run_id = options.run_id or f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    output = place(options.output)
    if options.task_runner == "dask" and isinstance(output, Path):
        output = output.resolve()
    return Run(str(output / run_id))
