"""What a kill, a full disk or a failing one has left in a run's folder -> a folder that can be gone on with.

Every page of every Parquet file is read, because a damaged one may lie anywhere in it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rageval.runs.parts import schema_of
from rageval.storage.files import readable, replacing
from rageval.storage.places import Place, matching

_ASKED = {"answers", "scores"}


def repair(folder: Place, read_line: Callable[[str, bytes], Any]) -> list[str]:
    """Set damaged files aside, remove half-written ones, and end torn journals; returns a sentence for each.

    Args:
        folder: The run's folder.
        read_line: Returns the record of a journal's line of that table, or None if it is none.
    """
    return [*_half_written(folder), *_damaged(folder), *_torn(folder, read_line)]


def _half_written(folder: Place) -> Iterator[str]:
    for leftover in folder.rglob(".*.tmp"):
        leftover.unlink(missing_ok=True)
        yield f"removed the half-written file {leftover.relative_to(str(folder))}"


def _damaged(folder: Place) -> Iterator[str]:
    for path in sorted([*folder.rglob("*.parquet")], key=str):
        table = path.stem if path.parent == folder else path.parent.name
        problem = _problem(path, schema_of(table))
        if problem:
            rows = _rows(path)
            path.replace(path.with_name(path.name + ".damaged"))
            name = path.relative_to(str(folder))
            yield (f"set the damaged file {name} aside as *.damaged, and {_consequence(table, rows)} ({problem})")


def _problem(path: Place, schema: pa.Schema | None) -> str | None:
    """Return why a file cannot be used, after reading all of it, or None."""
    try:
        with pq.ParquetFile(readable(path), page_checksum_verification=True) as file:
            found = file.schema_arrow
            if schema is not None:
                missing = [field.name for field in schema if not field.nullable and field.name not in found.names]
                strange = [field.name for field in found if field.name not in schema.names or not _fits(field, schema)]
                if missing or strange:
                    return f"unknown or missing columns: {', '.join([*missing, *strange])!r}"
            for group in range(file.num_row_groups):
                file.read_row_group(group).validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        return " ".join(str(error).split())
    return None


def _fits(field: pa.Field, schema: pa.Schema) -> bool:
    return bool(field.type == schema.field(field.name).type)


def _rows(path: Place) -> int | None:
    try:
        return int(pq.read_metadata(readable(path)).num_rows)
    except (pa.ArrowException, OSError, ValueError):
        return None


def _consequence(table: str, rows: int | None) -> str:
    held = "scores" if table == "computed" else table
    what = "what it held" if rows is None else f"its {rows} {held}"
    if table == "labels":
        return f"{what} can be given again with rageval report --human-labels"
    if table not in _ASKED:
        return f"{what} will be computed anew"
    return f"{what} will be asked for again, unless a journal or part still has them"


def _torn(folder: Place, read_line: Callable[[str, bytes], Any]) -> Iterator[str]:
    """Take out of journals what is no record: the line that a kill cut short, or one that was damaged."""
    cut = damaged = 0
    for path in matching(folder, "journal/*/*.jsonl"):
        lines = path.read_bytes().split(b"\n")
        is_bad = [bool(line) and read_line(path.parent.name, line) is None for line in lines]
        if not any(is_bad):
            continue
        cut += is_bad[-1]
        damaged += sum(is_bad[:-1])
        with replacing(path) as temporary:
            good = [line for line, bad in zip(lines, is_bad, strict=True) if line and not bad]
            temporary.write_bytes(b"".join(line + b"\n" for line in good))
    if cut:
        yield f"the last record of {cut} {'journal' if cut == 1 else 'journals'} was cut short and is asked again"
    if damaged:
        yield f"{damaged} {'record' if damaged == 1 else 'records'} of journals could not be read and are asked again"
