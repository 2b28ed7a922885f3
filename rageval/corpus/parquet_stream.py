"""A Parquet file that is open -> its rows one by one, lists and groups included.

A text that many rows share is stored once, so texts are read folded, and measured before they are unfolded: see
`parquet_columns`, which does the same to whole files. Within lists pyarrow cannot read them so; there it is the number
of values that is bounded before, and their size only once they are read.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rageval.corpus.parquet_columns import refuse_rows
from rageval.corpus.rows import Row, unique_columns
from rageval.errors import DataError

MAX_BATCH_BYTES: Final = 256 * 1024**2
MAX_VALUES_A_ROW: Final = 1000
"""The most values that lists may have, on average over the rows of a group."""
_BATCH_ROWS: Final = 256
_BUFFER_BYTES: Final = 2**20


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
    parquet = pq.ParquetFile(file)
    columns = list(unique_columns(parquet.schema_arrow.names, name))
    texts = _check_declared(parquet.metadata, name)
    parquet = pq.ParquetFile(file, read_dictionary=texts, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    number = 0
    for batch in parquet.iter_batches(_BATCH_ROWS, use_threads=False):
        if sum(map(_unfolded_bytes, batch.columns)) > MAX_BATCH_BYTES:
            raise DataError(
                f"{name}, index {number} (from 0): {_BATCH_ROWS} rows hold more than {MAX_BATCH_BYTES:,} bytes, the "
                "most that is read at once: split their texts, or leave columns out"
            )
        for record in batch.rename_columns(columns).to_pylist():
            yield Row(f"index {number} (from 0)", record)
            number += 1


def _check_declared(metadata: pq.FileMetaData, name: str) -> list[str]:
    """Return the columns that hold a text in each row.

    Raises:
        DataError: If there are too many rows, or too many values in the lists of one column.
    """
    refuse_rows(metadata.num_rows, name)
    texts = set()
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        for chunk in (group.column(number) for number in range(group.num_columns)):
            if chunk.num_values > MAX_VALUES_A_ROW * max(group.num_rows, 1):
                raise DataError(
                    f"{name}: `{chunk.path_in_schema.partition('.')[0]}` holds lists of more than "
                    f"{MAX_VALUES_A_ROW:,} values a row, the most that is read: shorten them"
                )
            if chunk.physical_type == "BYTE_ARRAY" and "." not in chunk.path_in_schema:
                texts.add(chunk.path_in_schema)
    return sorted(texts)


def _unfolded_bytes(array: pa.Array) -> int:
    """Return the bytes that the values of a column take, each for itself."""
    if not isinstance(array, pa.DictionaryArray):
        return int(array.nbytes)
    lengths = pc.binary_length(array.dictionary)
    return len(array) * 4 + int(pc.sum(pc.take(lengths, array.indices)).as_py() or 0)
