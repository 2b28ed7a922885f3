"""A file that is open -> its rows one by one, in little memory however many there are.

CSV, JSON Lines and Parquet are read from block to block. A JSON list and an Excel workbook are read as a whole, so they
may not be large.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Final, TextIO

import orjson

from rageval.corpus.columns import known_names
from rageval.corpus.foreign_bytes import refuse_foreign
from rageval.corpus.json_lists import json_value, list_in
from rageval.corpus.opening import OpenedFile
from rageval.corpus.packed import unpacking
from rageval.corpus.parquet_columns import refuse_rows
from rageval.corpus.parquet_stream import parquet_rows
from rageval.corpus.rows import Row, listed_rows, parse_rows, parsed_json, unique_columns
from rageval.errors import DataError
from rageval.text.formulas import GUARD, unguarded
from rageval.text.keys import plain_key

MAX_WHOLE_BYTES: Final = 512 * 1024**2
"""The most of a file that is read as a whole: its rows take several times as much."""
MAX_ROW_CHARS: Final = 64 * 1024**2
_HEAD_BYTES: Final = 65536
_TAIL_BYTES: Final = 8
_CSV_FIELD_LIMIT: Final = 2**31 - 1


def stream_rows(opened: OpenedFile) -> Iterator[Row | str]:
    """Yield the rows of a file as they stand in it; for one that cannot be read, file, place and reason.

    Raises:
        DataError: If the file is empty or damaged, is not what its suffix says, or has too many or too long rows.
    """
    name, suffix = opened.name, opened.suffix
    _refuse_foreign(opened)
    for number, row in enumerate(_READERS[suffix](unpacking(opened.file, name), name), start=1):
        refuse_rows(number, name)
        yield row


def _refuse_foreign(opened: OpenedFile) -> None:
    """Look at how a file begins, and how it ends where that can be seen."""
    file = unpacking(opened.file, opened.name)
    head = file.read(_HEAD_BYTES)
    if not head.strip():
        raise DataError(f"{opened.name}: the file is empty; expected rows")
    if file is opened.file and file.seek(0, io.SEEK_END) > _HEAD_BYTES:
        file.seek(-_TAIL_BYTES, io.SEEK_END)
        head += file.read()
    refuse_foreign(head, opened.name, opened.suffix, sorted(known_names()))


def _jsonl_rows(file: BinaryIO, name: str) -> Iterator[Row | str]:
    # Lines end at \n alone: U+2028 and others may stand inside a JSON string.
    for number, line in enumerate(text_lines(file, name), start=1):
        if not line.strip():
            continue
        try:
            value = json_value(line)
        except orjson.JSONDecodeError as error:
            yield f"{name}, line {number}: not valid JSON at column {error.colno}: {error.msg}"
            continue
        if isinstance(value, dict):
            yield Row(f"line {number}", {plain_key(key): inner for key, inner in value.items()})
        else:
            yield f"{name}, line {number}: expected an object {{...}}, found {type(value).__name__}"


def _csv_rows(delimiter: str) -> Callable[[BinaryIO, str], Iterator[Row | str]]:
    def rows(file: BinaryIO, name: str) -> Iterator[Row | str]:
        csv.field_size_limit(max(csv.field_size_limit(), _CSV_FIELD_LIMIT))  # see `rows`; a row is bounded instead
        held = [0]
        lines = _row_by_row(text_lines(file, name, ""), held, name)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        line = 1
        try:
            columns = unique_columns(next(reader, []), name)
            line = reader.line_num + 1
            for values in reader:
                held[0] = 0
                if len(values) == len(columns):
                    row = dict(zip(columns, values, strict=True))
                    yield Row(f"line {line}", unguarded(row) if GUARD in row else row)
                elif values:
                    yield (
                        f"{name}, line {line}: has {len(values)} fields where the header has {len(columns)}; a field "
                        "that holds a separator, a quote or a line break needs quotes around it"
                    )
                line = reader.line_num + 1
        except csv.Error as error:
            yield f"{name}, line {line}: not valid CSV: {error}; the lines after it could not be read"

    return rows


def _row_by_row(lines: Iterator[str], held: list[int], name: str) -> Iterator[str]:
    """Yield the lines of a row, of which the first quote without an end makes the whole rest of a file.

    Raises:
        DataError: If it has too many characters since `held` was set to 0.
    """
    for number, line in enumerate(lines, start=1):
        held[0] += len(line)
        if held[0] > MAX_ROW_CHARS:
            raise DataError(
                f"{name}: the row that goes on in line {number} has more than {MAX_ROW_CHARS:,} characters: end its "
                "quotes, or split it"
            )
        yield line


def text_lines(file: BinaryIO, name: str, newline: str = "\n") -> Iterator[str]:
    """Yield the lines of a text, with their ends.

    Args:
        file: At its beginning; it is left open.
        name: What messages call it.
        newline: What ends a line; empty for whatever does in a CSV file.

    Raises:
        DataError: If it is no text in UTF-8 or UTF-16, or one row of it is too long.
    """
    text = io.TextIOWrapper(file, _encoding(file, name), newline=newline)
    number = 0
    try:
        while line := text.readline(MAX_ROW_CHARS):
            number += 1
            if len(line) == MAX_ROW_CHARS:
                raise DataError(f"{name}, line {number}: has more than {MAX_ROW_CHARS:,} characters: split it")
            yield line
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(
            f"{name}, some lines after line {number}: byte 0x{byte:02x} is not valid {error.encoding.upper()}; save "
            "the file as UTF-8"
        ) from None
    finally:
        _leave(text)


def _leave(text: TextIO) -> None:
    """Leave the file open for whoever has opened it."""
    if not text.closed:
        text.detach()  # type: ignore[attr-defined]  # a TextIOWrapper


def _encoding(file: BinaryIO, name: str) -> str:
    """Return the encoding that a text begins with.

    Raises:
        DataError: If it is UTF-16 without a mark, or no text.
    """
    head = file.peek(2)[:2]  # type: ignore[attr-defined]  # whatever is opened here is buffered
    if head in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        return "utf-16"
    if 0 in head:
        raise DataError(f"{name}: begins with a zero byte: UTF-16 without a mark, or no text at all; save it as UTF-8")
    return "utf-8-sig"


def _json_rows(file: BinaryIO, name: str) -> Iterator[Row | str]:
    values = parsed_json(_whole(file, name, "JSON Lines"), name, json_value)
    parsed = listed_rows(list_in(values, name), name)
    yield from parsed.problems
    yield from parsed.rows


def _sheet_rows(file: BinaryIO, name: str) -> Iterator[Row | str]:
    yield from parse_rows(_whole(file, name, "CSV"), name, (), suffix=".xlsx").rows


def _whole(file: BinaryIO, name: str, better: str) -> bytes:
    data = file.read(MAX_WHOLE_BYTES + 1)
    if len(data) > MAX_WHOLE_BYTES:
        raise DataError(
            f"{name}: the file is larger than {MAX_WHOLE_BYTES:,} bytes, the most that is read as a whole: write it as "
            f"{better}, which is read from row to row"
        )
    return data


_READERS: Final[Mapping[str, Callable[[BinaryIO, str], Iterator[Row | str]]]] = {
    ".csv": _csv_rows(","),
    ".tsv": _csv_rows("\t"),
    ".xlsx": _sheet_rows,
    ".jsonl": _jsonl_rows,
    ".ndjson": _jsonl_rows,
    ".json": _json_rows,
    ".parquet": parquet_rows,
}
