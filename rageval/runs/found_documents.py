"""Texts that retrievers of one's own have brought, of documents that no file of the run holds: kept beside these."""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from rageval.records import Document
from rageval.runs.run import Run
from rageval.storage.files import read_parquet, write_parquet
from rageval.tables import FOUND_DOCUMENTS, to_table

_TABLE: Final = "found_documents"


def add_found_documents(run: Run, documents: Sequence[Document]) -> None:
    """Keep more of them.

    Raises:
        RunStoppedError: If they cannot be written.
    """
    if documents:
        tables = [_read(run), to_table(documents, FOUND_DOCUMENTS)]
        write_parquet(run.path / f"{_TABLE}.parquet", tables, FOUND_DOCUMENTS)


def found_documents(run: Run) -> list[Document]:
    """Return all of them."""
    return [document_of(row) for row in _read(run).to_pylist()]


def all_documents(run: Run) -> pa.Table:
    """Return table `tables.DOCUMENTS` with what was brought behind what the file holds.

    Raises:
        DataError: If the table of documents is missing or damaged.
    """
    documents = run.read("documents")
    return pa.concat_tables([documents, _read(run).cast(documents.schema)]) if run.has(_TABLE) else documents


def document_of(row: dict[str, Any]) -> Document:
    """Return a row of a table of documents as a record."""
    return Document(**{**row, "metadata": dict(row["metadata"])})


def _read(run: Run) -> pa.Table:
    if not run.has(_TABLE):
        return FOUND_DOCUMENTS.empty_table()
    return read_parquet(run.path / f"{_TABLE}.parquet")
