"""A Parquet file that is open -> its rows one by one, lists and groups included.

A text that many rows share is stored once, in the dictionary of its column. So the longest text of a dictionary decides
how many rows are read at once. What cannot be known before is how the values of a column are spread over the lists of
its rows, so their average is bounded.
"""

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rageval.corpus.packed import allowance
from rageval.corpus.parquet_columns import refuse_rows
from rageval.corpus.rows import Row, unique_columns
from rageval.errors import DataError

MAX_BATCH_BYTES: Final = 256 * 1024**2
"""The most bytes that the rows which are read at once may hold."""
MAX_VALUES_A_ROW: Final = 1000
"""The most values that the lists of a column may have, on average over the rows of a group."""
_BATCH_ROWS: Final = 256
_TEXTS: Final = "BYTE_ARRAY"
_NUMBER_BYTES: Final = 16
_SMALL_BYTES: Final = 64 * 1024
"""A column that holds no more in a group of rows is not looked into."""
_FIRST_ROWS: Final = 100
"""A dictionary is seen with the first value; these rows are looked at for one."""


def parquet_rows(file: BinaryIO, name: str) -> Iterator[Row]:
    """Yield the rows of a Parquet file.

    Args:
        file: At its beginning.
        name: What messages call it.

    Raises:
        DataError: If it is no Parquet file, is damaged, or has too many or too large rows.
    """
    try:
        yield from _rows(file, name)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{name}: cannot be read as Parquet: {reason}; write the file again") from None


def _rows(file: BinaryIO, name: str) -> Iterator[Row]:
    parquet = pq.ParquetFile(file, pre_buffer=False)
    columns = list(unique_columns(parquet.schema_arrow.names, name))
    refuse_rows(parquet.metadata.num_rows, name)
    number = 0
    for group in range(parquet.num_row_groups):
        rows = rows_at_once(file, parquet, group, name)
        for batch in parquet.iter_batches(rows, row_groups=[group], use_threads=False):
            for record in batch.rename_columns(columns).to_pylist():
                yield Row(f"index {number} (from 0)", record)
                number += 1


def rows_at_once(file: BinaryIO, parquet: pq.ParquetFile, number: int, name: str) -> int:
    """Return how many rows of a group can be read at once, from what it declares and from its dictionaries.

    Args:
        file: The file.
        parquet: The same, opened.
        number: Of the group.
        name: What messages call the file.

    Raises:
        DataError: If it holds too much for its size, lists that are too long, or a text that is too long to be read.
    """
    group = parquet.metadata.row_group(number)
    chunks = [group.column(column) for column in range(group.num_columns)]
    for chunk in chunks:
        _check_declared(chunk, group.num_rows, name)
    large = [chunk.path_in_schema for chunk in chunks if _is_large(chunk)]
    folded = pq.ParquetFile(file, read_dictionary=large, pre_buffer=False) if large else None
    a_row = 0.0
    for column, chunk in enumerate(chunks):
        values = chunk.num_values / max(group.num_rows, 1)
        if chunk.physical_type != _TEXTS:
            a_row += values * max(parquet.schema.column(column).length, _NUMBER_BYTES)
        else:
            small = chunk.total_uncompressed_size
            a_row += values * (_longest(folded, chunk.path_in_schema, number) if _is_large(chunk) else small)
    if a_row > MAX_BATCH_BYTES:
        raise DataError(
            f"{name}: a row may hold more than {MAX_BATCH_BYTES:,} bytes, the most that is read at once: split its "
            "texts"
        )
    return int(min(_BATCH_ROWS, max(1, MAX_BATCH_BYTES // max(a_row, 1))))


def _check_declared(chunk: pq.ColumnChunkMetaData, rows: int, name: str) -> None:
    column = chunk.path_in_schema.partition(".")[0]
    if chunk.num_values > MAX_VALUES_A_ROW * max(rows, 1):
        raise DataError(
            f"{name}: `{column}` holds lists of more than {MAX_VALUES_A_ROW:,} values a row, the most that is read: "
            "shorten them"
        )
    if chunk.total_uncompressed_size > (limit := allowance(chunk.total_compressed_size)):
        raise DataError(
            f"{name}: `{column}` holds more than {limit:,} bytes in a group of rows, the most that is read of a column "
            f"of {chunk.total_compressed_size:,}: write it without compression, or in smaller groups"
        )


def _is_large(chunk: pq.ColumnChunkMetaData) -> bool:
    return bool(chunk.physical_type == _TEXTS and chunk.total_uncompressed_size > _SMALL_BYTES)


def _longest(parquet: pq.ParquetFile, path: str, group: int) -> int:
    """Return the bytes of the longest text in the dictionary of a column; 0 where its first rows show none."""
    with contextlib.suppress(pa.ArrowNotImplementedError):  # lists that go over from a dictionary to what follows it
        for batch in islice(parquet.iter_batches(1, row_groups=[group], columns=[path]), _FIRST_ROWS):
            leaf = batch.column(0)
            while hasattr(leaf, "flatten"):
                parts = leaf.flatten()
                leaf = parts[0] if isinstance(parts, list) else parts
            if isinstance(leaf, pa.DictionaryArray) and len(leaf.dictionary):
                return int(pc.max(pc.binary_length(leaf.dictionary)).as_py() or 0)
    return 0
