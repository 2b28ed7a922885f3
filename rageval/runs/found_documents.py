"""Texts that retrievers of one's own have brought, of documents that no file of the run holds: kept beside these."""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from rageval.records import Document
from rageval.runs.run import Run
from rageval.storage.files import read_parquet, write_parquet
from rageval.tables import ANSWERS, FOUND_DOCUMENTS, to_table

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


def stored_documents(run: Run) -> pa.Table:
    """Return table `tables.DOCUMENTS` with what retrievers brought behind what the file holds.

    What answers brought stands with them.

    Raises:
        DataError: If the table of documents is missing or damaged.
    """
    documents = run.read("documents")
    return pa.concat_tables([documents, _read(run).cast(documents.schema)])


def all_documents(run: Run) -> pa.Table:
    """Return the same with what answers brought behind it.

    Raises:
        DataError: If the table of documents is missing or damaged.
    """
    documents = stored_documents(run)
    brought = _brought_with_answers(run)
    return pa.concat_tables([documents, to_table(brought, documents.schema)]) if brought else documents


def _brought_with_answers(run: Run) -> list[Document]:
    """Return the contexts of answers that are no documents of the run; of several texts of one id, the first."""
    answers = run.read("answers") if run.has("answers") else ANSWERS.empty_table()
    rows = answers.filter(pc.is_valid(answers["context_texts"])).select(["context_ids", "context_texts"]).to_pylist()
    texts: dict[str, str] = {}
    for row in rows:
        for id_, text in zip(row["context_ids"], row["context_texts"], strict=True):
            if text is not None:
                texts.setdefault(id_, text)
    return [Document(document_id=id_, text=text, content_hash="") for id_, text in texts.items()]


def document_of(row: dict[str, Any]) -> Document:
    """Return a row of a table of documents as a record."""
    return Document(**{**row, "metadata": dict(row["metadata"])})


def _read(run: Run) -> pa.Table:
    if not run.has(_TABLE):
        return FOUND_DOCUMENTS.empty_table()
    return read_parquet(run.path / f"{_TABLE}.parquet")
