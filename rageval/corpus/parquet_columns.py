"""The bytes of a Parquet file -> some of its columns, measured before they are unfolded.

A few megabytes may hold any number of gigabytes: pages are compressed, and a text that many rows share is stored once.
So what the file declares is looked at first, texts are read folded (each once, and for every row which one it is),
and they are unfolded only if they fit.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rageval.corpus.packed import allowance
from rageval.errors import DataError

MAX_ROWS: Final = 10_000_000
"""The most rows that a file of any format may have: one takes some hundred bytes, whatever it took in the file."""


def read_columns(data: bytes, name: str, columns: Sequence[str]) -> pa.Table:
    """Return some columns of a file, each value for itself.

    Args:
        data: The whole file.
        name: What messages call it.
        columns: Names of columns that it has.

    Raises:
        DataError: If one of them holds more than one value a row, or they hold more than a file of this size may.
        pyarrow.ArrowException, OSError, UnicodeDecodeError: If it is no Parquet file, or damaged.
    """
    with pq.ParquetFile(pa.BufferReader(data)) as parquet:
        metadata, fields = parquet.metadata, [parquet.schema_arrow.field(column) for column in columns]
    for field in fields:
        if pa.types.is_nested(field.type):
            raise DataError(f"{name}: `{field.name}` holds lists or groups, expected one value a row: store it as text")
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    refuse_rows(max(metadata.num_rows, sum(group.num_rows for group in groups)), name)
    chunks = [group.column(number) for group in groups for number in range(group.num_columns)]
    chunks = [chunk for chunk in chunks if chunk.path_in_schema in columns]
    _refuse_bytes(sum(chunk.total_uncompressed_size for chunk in chunks), data, name)
    _refuse_bytes(metadata.num_rows * sum(_width(field.type) for field in fields), data, name)
    texts = sorted({chunk.path_in_schema for chunk in chunks if chunk.physical_type == "BYTE_ARRAY"})
    tables, held = [], 0
    with pq.ParquetFile(pa.BufferReader(data), read_dictionary=texts) as parquet:
        for number in range(len(groups)):
            table = parquet.read_row_group(number, columns=list(columns))
            held += sum(_unfolded_bytes(chunk) for column in table.columns for chunk in column.chunks)
            _refuse_bytes(held, data, name)
            tables.append(table)
    return pa.concat_tables(tables) if tables else parquet.schema_arrow.empty_table().select(columns)


def holds_values(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds one value a row that can be written as text."""
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def refuse_rows(rows: int, name: str) -> None:
    """Refuse a file with too many rows.

    Raises:
        DataError: If it has more than `MAX_ROWS`.
    """
    if rows > MAX_ROWS:
        raise DataError(f"{name}: the file has more than {MAX_ROWS:,} rows, the most that are read: split it")


def _refuse_bytes(held: int, data: bytes, name: str) -> None:
    if held > (limit := allowance(len(data))):
        raise DataError(
            f"{name}: the columns that are read hold more than {limit:,} bytes, the most that is read of a Parquet "
            f"file of {len(data):,}: split it, or write it without compression"
        )


def _width(kind: pa.DataType) -> int:
    """Return the bytes of a value, 0 where they differ from one to the next."""
    try:
        return int(kind.byte_width)
    except ValueError:
        return 0


def _unfolded_bytes(chunk: pa.Array) -> int:
    if not isinstance(chunk, pa.DictionaryArray):
        return int(chunk.nbytes)
    lengths = pc.binary_length(chunk.dictionary)
    return len(chunk) * 4 + int(pc.sum(pc.take(lengths, chunk.indices)).as_py() or 0)
