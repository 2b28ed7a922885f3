"""A Parquet file -> its rows as a table that lies on disk: what is never looked at takes no memory."""

import tempfile
from pathlib import Path
from typing import Final

import pyarrow as pa

from rageval.storage.places import Place
from rageval.storage.stored_rows import StoredRows, stored_rows

_FEW_ROWS: Final = 50_000
"""So many fit into memory."""


def mapped_table(path: Place) -> pa.Table:
    """Return all rows of a file; of many rows, the texts come from disk when they are looked at.

    Raises:
        FileNotFoundError: If there is none.
        pyarrow.ArrowException, OSError: If it is damaged, or there is no room for its copy.
    """
    rows = stored_rows(path)
    if len(rows) <= _FEW_ROWS:
        return pa.concat_tables([rows.schema.empty_table(), *rows.batches()])
    folder = path.parent if isinstance(path, Path) else None
    with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=".tmp", dir=folder) as copy:
        _copy(rows, copy.name)
        # The name goes at once, and the rows with the last table that shows them.
        return pa.ipc.open_file(pa.memory_map(copy.name)).read_all()


def _copy(rows: StoredRows, path: str) -> None:
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        for batch in rows.batches():
            writer.write_table(batch)
