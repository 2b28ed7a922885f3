"""The bytes of a data file -> its rows, each with the place where a person finds it again.

Formats are told apart by suffix: a JSON list of objects, JSON Lines, CSV or TSV with a header, Parquet, the first sheet
of an Excel workbook; each may be compressed (`.csv.gz`), and text may be UTF-8, or UTF-16 that begins with its mark.
A row that cannot be read becomes a problem beside the rows that can; a file that cannot be read at all is an
error. In CSV the strings NA, null and None are strings like any other.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from rageval.corpus import packed
from rageval.corpus.foreign_bytes import refuse_foreign
from rageval.corpus.parquet_columns import holds_values, read_columns, refuse_rows
from rageval.corpus.sheets import sheet_rows
from rageval.errors import DataError
from rageval.text.formulas import GUARD, unguarded
from rageval.text.keys import plain_key

_CSV_FIELD_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it stands in the file, before any check of its values."""

    place: str
    """Where it stands: `line 7`, counted from 1, or `index 6`, counted from 0."""
    values: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RowFile:
    """What was read from one file."""

    name: str
    columns: tuple[str, ...]
    """Every column that at least one row has, in order of appearance."""
    rows: list[Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """One line for each row that could not be read: file, place and reason."""
    text_remedy: str = "put it in quotes"
    """How this format is told that a value is text."""

    def add_problem(self, place: str, reason: str) -> None:
        """Remember why the row at that place cannot be used."""
        self.problems.append(f"{self.name}, {place}: {reason}")


def format_of(name: str) -> str:
    """Return the suffix that decides how a file is read, such as ".csv", also of `faq.csv.gz`.

    Raises:
        DataError: If no format has that suffix.
    """
    suffix = _suffix(name)
    if suffix not in _PARSERS:
        raise DataError(
            f"{name}: the suffix {suffix or '(none)'} names no known format; expected one of "
            f"{', '.join(_PARSERS)}, or one of these with {', '.join(packed.SUFFIXES)} after it: rename or convert "
            "the file"
        )
    return suffix


def has_format(name: str) -> bool:
    """Return whether the name of a file says how it is read."""
    return _suffix(name) in _PARSERS


def _suffix(name: str) -> str:
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix in packed.SUFFIXES else path.suffix


def parse_rows(
    data: bytes, name: str, columns: Sequence[str], optional: Sequence[str] | None = (), suffix: str | None = None
) -> RowFile:
    """Return the rows of a file.

    Args:
        data: The whole file, compressed or not.
        name: What messages call the file; its suffix decides the format.
        columns: The columns that are needed; a Parquet file's other columns are named but not read.
        optional: Columns that are read as well where they are there; None for all that hold one value a row.
        suffix: The format of a file whose name does not tell it.

    Raises:
        DataError: If the suffix is unknown, the file is empty or damaged, or it is not what its suffix says.
    """
    suffix = suffix or format_of(name)
    data = packed.unpacked(data, name)
    if not data.strip():
        raise DataError(f"{name}: the file is empty; expected rows with {', '.join(columns)}")
    refuse_foreign(data, name, suffix, columns)
    return _PARSERS[suffix](data, name, columns, optional)


def decoded(data: bytes, name: str) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 that begins with its mark.

    Raises:
        DataError: If it is neither.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: begins like UTF-16, but is none ({error.reason}); save it as UTF-8") from None
    if 0 in data[:2]:
        raise DataError(f"{name}: begins with a zero byte: UTF-16 without a mark, or no text at all; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not valid UTF-8; save the file as UTF-8"
        ) from None


def unique_columns(columns: Sequence[str], name: str) -> tuple[str, ...]:
    """Return the columns of a header.

    Raises:
        DataError: If two have the same name, so that a value's column would be a guess.
    """
    plain = tuple(map(plain_key, columns))
    twice = [column for column, count in Counter(plain).items() if count > 1]
    if twice:
        raise DataError(f"{name}: the header names {', '.join(twice)} more than once; rename one of the columns")
    return plain


def _row_file(objects: Iterable[tuple[str, Any]], name: str) -> RowFile:
    """Return parsed JSON values as rows; a value that is no object, or is an error, becomes a problem."""
    columns: dict[str, None] = {}
    good: list[Row] = []
    bad: list[tuple[str, str]] = []
    for place, value in objects:
        if isinstance(value, dict):
            columns.update(dict.fromkeys(value))
            good.append(Row(place, value))
        elif isinstance(value, orjson.JSONDecodeError):
            bad.append((place, f"not valid JSON at column {value.colno}: {value.msg}"))
        else:
            bad.append((place, f"expected an object {{...}}, found {type(value).__name__}"))
    found = unique_columns(list(columns), name)
    if found != tuple(columns):
        good = [Row(row.place, {plain_key(key): value for key, value in row.values.items()}) for row in good]
    file = RowFile(name=name, columns=found, rows=good)
    for place, reason in bad:
        file.add_problem(place, reason)
    return file


def parsed_json(data: bytes, name: str, loads: Callable[[str], Any] = orjson.loads) -> Any:
    """Return what a JSON file holds.

    Args:
        data: The whole file.
        name: What messages call it.
        loads: What reads its text.

    Raises:
        DataError: If it is no JSON; it says where.
    """
    try:
        return loads(decoded(data, name))
    except orjson.JSONDecodeError as error:
        raise DataError(
            f"{name}, line {error.lineno}, column {error.colno}: not valid JSON: {error.msg}; correct the file "
            "(one object a line is the format .jsonl)"
        ) from None


def _parse_json(data: bytes, name: str, *_: object) -> RowFile:
    values = parsed_json(data, name)
    if not isinstance(values, list):
        keys = f" with the keys {', '.join(values)}"[:200] if isinstance(values, dict) else ""
        raise DataError(f"{name}: expected a list of objects [{{...}}, ...], found {type(values).__name__}{keys}")
    return listed_rows(values, name)


def listed_rows(values: Sequence[Any], name: str) -> RowFile:
    """Return the values of a JSON list as rows; one that is no object becomes a problem.

    Raises:
        DataError: If there are too many, or names of their columns differ in nothing that can be seen.
    """
    refuse_rows(len(values), name)
    return _row_file(((f"index {index} (from 0)", value) for index, value in enumerate(values)), name)


def _parse_jsonl(data: bytes, name: str, *_: object) -> RowFile:
    def objects() -> Iterator[tuple[str, Any]]:
        # Not splitlines(): it also splits at U+2028 and others, which may stand inside a JSON string.
        for number, line in enumerate(_lines(decoded(data, name)), start=1):
            if not line.strip():
                continue
            refuse_rows(number, name)
            try:
                yield f"line {number}", orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield f"line {number}", error

    return _row_file(objects(), name)


def _lines(text: str) -> Iterator[str]:
    """Yield the lines one by one: a list of two billion empty ones would take more than they do."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def _parse_csv(data: bytes, name: str, *_: object, delimiter: str = ",") -> RowFile:
    # The csv module's limit is global and 131,072 characters by default. It is only ever raised here: the
    # length of a field is checked later, in the same way for all formats.
    csv.field_size_limit(max(csv.field_size_limit(), _CSV_FIELD_LIMIT))
    reader = csv.reader(io.StringIO(decoded(data, name), newline=""), delimiter=delimiter, strict=True)
    try:
        file = RowFile(name=name, columns=unique_columns(next(reader, []), name))
    except csv.Error as error:
        raise DataError(f"{name}, line 1: the header is not valid CSV: {error}; correct its quotes") from None
    line = reader.line_num + 1
    try:
        for values in reader:
            _add_csv_row(file, f"line {line}", values)
            refuse_rows(len(file.rows) + len(file.problems), name)
            line = reader.line_num + 1
    except csv.Error as error:
        file.add_problem(f"line {line}", f"not valid CSV: {error}; the lines after it could not be read")
    if GUARD not in file.columns:
        return file
    columns = tuple(column for column in file.columns if column != GUARD)
    return replace(file, columns=columns, rows=[Row(row.place, unguarded(row.values)) for row in file.rows])


def _add_csv_row(file: RowFile, place: str, values: Sequence[str]) -> None:
    if len(values) == len(file.columns):
        file.rows.append(Row(place, dict(zip(file.columns, values, strict=True))))
    elif values:  # A blank line has no fields at all and is no row.
        file.add_problem(
            place,
            f"has {len(values)} fields where the header has {len(file.columns)}; "
            "a field that holds a comma, a quote or a line break needs quotes around it",
        )


def _parse_sheet(data: bytes, name: str, *_: object) -> RowFile:
    header, cells = sheet_rows(data, name)
    columns = unique_columns(header, name)
    file = RowFile(name=name, columns=columns, text_remedy="format its cells as text")
    for number, values in cells:
        file.rows.append(Row(f"row {number}", dict(zip(columns, values, strict=True))))
        refuse_rows(len(file.rows), name)
    return file


def _parse_parquet(data: bytes, name: str, columns: Sequence[str], optional: Sequence[str] | None) -> RowFile:
    try:
        with pq.ParquetFile(pa.BufferReader(data)) as parquet:
            schema = parquet.schema_arrow
        found = unique_columns(schema.names, name)
        others = [field.name for field in schema if holds_values(field.type)] if optional is None else optional
        wanted = {*columns, *map(plain_key, others)}
        table = read_columns(data, name, [column for column in schema.names if plain_key(column) in wanted])
        records = table.rename_columns([plain_key(column) for column in table.column_names]).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{name}: cannot be read as Parquet: {reason}; write the file again") from None
    rows = [Row(f"index {index} (from 0)", record) for index, record in enumerate(records)]
    return RowFile(name=name, columns=found, rows=rows, text_remedy="store the column as text")


_PARSERS: Mapping[str, Callable[[bytes, str, Sequence[str], Sequence[str] | None], RowFile]] = {
    ".json": _parse_json,
    ".jsonl": _parse_jsonl,
    ".ndjson": _parse_jsonl,
    ".csv": _parse_csv,
    ".tsv": partial(_parse_csv, delimiter="\t"),
    ".xlsx": _parse_sheet,
    ".parquet": _parse_parquet,
}
