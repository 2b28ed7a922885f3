"""A Parquet file of a run -> some of its rows by their numbers, a few groups of them in memory at a time."""

import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rageval.storage.files import readable
from rageval.storage.places import Place, version

_GROUPS_KEPT: Final = 4
"""Chunks that are worked on at the same time lie near each other."""


class StoredRows:
    """The rows of a file as it is now; safe for several threads.

    Args:
        path: The file.

    Raises:
        pyarrow.ArrowException, OSError: If it is damaged, here or in any method.
    """

    def __init__(self, path: Place) -> None:
        self._file = pq.ParquetFile(readable(path), page_checksum_verification=True)
        metadata = self._file.metadata
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        self._starts = np.cumsum([0, *sizes])
        self._reading = threading.Lock()
        self._group = lru_cache(maxsize=_GROUPS_KEPT)(self._read)

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self._file.schema_arrow

    def slice(self, start: int, stop: int) -> pa.Table:
        """Return the rows from `start` up to `stop`, as many of them as there are."""
        return self.take(np.arange(start, min(stop, len(self))))

    def take(self, numbers: NDArray[np.int64]) -> pa.Table:
        """Return the rows with these numbers, which ascend."""
        groups = np.searchsorted(self._starts, numbers, side="right") - 1
        parts = []
        with self._reading:
            for group in np.unique(groups):
                own = numbers[groups == group] - self._starts[group]
                rows = self._group(int(group))
                is_whole = len(own) == own[-1] - own[0] + 1
                parts.append(rows.slice(own[0], len(own)) if is_whole else rows.take(pa.array(own)))
        return pa.concat_tables(parts) if parts else self._file.schema_arrow.empty_table()

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of all rows."""
        with self._reading:
            return self._file.read([name])[name]

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield all rows, group by group, or some columns of them."""
        names = None if columns is None else list(columns)
        for number in range(self._file.num_row_groups):
            with self._reading:
                table = self._file.read_row_group(number, columns=names, use_threads=False)
            yield table

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield all rows, or some columns of them, one by one."""
        for table in self.batches(columns):
            yield from table.to_pylist()

    def _read(self, number: int) -> pa.Table:
        return self._file.read_row_group(number, use_threads=False)


def stored_rows(path: Place) -> StoredRows:
    """Return the rows of a file, opened once until it is written again.

    Raises:
        FileNotFoundError: If there is none.
        pyarrow.ArrowException, OSError: If it is damaged.
    """
    return _opened(path, version(path))


@lru_cache(maxsize=8)
def _opened(path: Place, changed: str) -> StoredRows:
    del changed  # part of the cache's key
    return StoredRows(path)
