"""Documents and vectors -> the files of one build of an embedded index, and what of them is opened to be searched.

Documents are numbered in the order of their ids, by which equal scores are ordered.
"""

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from rageval.config.evaluation import Language
from rageval.embedding.embedding_model import Matrix
from rageval.records import Document
from rageval.search.embedded_text import TextIndex, open_text, used_fields, write_text
from rageval.search.embedded_vectors import VectorIndex, open_vectors, write_vectors
from rageval.search.search_index import IndexIdentity
from rageval.search.text_analysis import analysis_language

_TEXT: Final = "text"
_VECTORS, _NUMBERS, _IDS, _FILTERS = "vectors.npy", "numbers.npy", "documents.arrow", "filters.json"
_READ_AT_ONCE: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class BuildDescription:
    """A build that is whole: what `index.json` holds."""

    folder: str
    identity: IndexIdentity
    language: Language
    """By whose rules its texts are cut."""
    fields: tuple[str, ...]
    """Those that its documents have."""
    files: Mapping[str, tuple[int, int]]
    """Size and checksum of each."""


def write_build(
    folder: Path,
    documents: Sequence[Document],
    vectors: Matrix,
    identity: IndexIdentity,
    filter_by: str,
    wanted: Language,
) -> BuildDescription:
    """Write a build into an empty folder; it is on the disk when this returns.

    Raises:
        OSError: If the disk takes nothing more.
    """
    order = sorted(range(len(documents)), key=lambda position: documents[position].document_id)
    ordered = [documents[position] for position in order]
    values = [document.filter_value(filter_by) for document in ordered]
    # Vectors of one filter value stand together, so that a search reads no others.
    numbers = np.array(sorted(range(len(values)), key=lambda number: (values[number], number)), dtype=np.int64)
    rows = _rows_of([values[number] for number in numbers.tolist()])
    language, fields = analysis_language(documents, wanted), used_fields(documents, filter_by)
    (folder / _TEXT).mkdir(parents=True)
    write_text(folder / _TEXT, ordered, fields, filter_by, _numbered(rows), language)
    write_vectors(folder / _VECTORS, vectors, np.array(order, dtype=np.int64)[numbers])
    np.save(folder / _NUMBERS, numbers, allow_pickle=False)
    (folder / _FILTERS).write_bytes(orjson.dumps([[value, at.start, at.stop] for value, at in rows.items()]))
    ids = pa.table({"document_id": pa.array([document.document_id for document in ordered], pa.large_string())})
    with pa.OSFile(str(folder / _IDS), "wb") as file, pa.ipc.new_file(file, ids.schema) as writer:
        writer.write_table(ids)
    files = dict(sorted(_synced_files(folder)))
    return BuildDescription(folder=folder.name, identity=identity, language=language, fields=fields, files=files)


def read_description(stored: bytes) -> BuildDescription:
    """Return what `index.json` holds.

    Raises:
        ValueError, TypeError, KeyError: If it is not what was written there.
    """
    values: dict[str, Any] = orjson.loads(stored)
    return BuildDescription(
        folder=str(values["folder"]),
        identity=IndexIdentity(**values["identity"]),
        language=values["language"],
        fields=tuple(values["fields"]),
        files={name: (int(size), int(checksum)) for name, (size, checksum) in values["files"].items()},
    )


def is_whole(folder: Path, description: BuildDescription) -> bool:
    """Return whether each file of a build is what was written."""
    sizes = {name: size for name, (size, _) in description.files.items()}
    try:
        if {name: (folder / name).stat().st_size for name in sizes} != sizes:
            return False
        return all(_checksum(folder / name) == checksum for name, (_, checksum) in description.files.items())
    except OSError:
        return False


@dataclass(frozen=True, kw_only=True)
class OpenBuild:
    """A build that is searched. Its files are mapped, so it can be searched even after they were removed."""

    description: BuildDescription
    text: TextIndex
    vectors: VectorIndex
    filters: Mapping[str, int]
    """The number of each filter value."""
    ids: pa.ChunkedArray
    """Of the documents, by their numbers."""

    def document_id(self, number: int) -> str:
        """Return the id of a document."""
        return str(self.ids[number].as_py())


def open_build(folder: Path, description: BuildDescription) -> OpenBuild:
    """Map the files of a build.

    Raises:
        OSError, ValueError, pyarrow.ArrowException: If one is gone or damaged.
    """
    filters = orjson.loads((folder / _FILTERS).read_bytes())
    rows = {str(value): slice(int(start), int(stop)) for value, start, stop in filters}
    return OpenBuild(
        description=description,
        text=open_text(folder / _TEXT, description.fields, description.language),
        vectors=open_vectors(
            folder / _VECTORS,
            np.load(folder / _NUMBERS, mmap_mode="r", allow_pickle=False),
            rows | {"": slice(0, description.identity.documents)},
        ),
        filters=_numbered(rows),
        ids=pa.ipc.open_file(pa.memory_map(str(folder / _IDS))).read_all()["document_id"],
    )


def _rows_of(values: Sequence[str]) -> dict[str, slice]:
    """Return where each value stands in a sorted list of them."""
    begins = [row for row, value in enumerate(values) if row == 0 or value != values[row - 1]]
    ends = [*begins[1:], len(values)]
    return {values[begin]: slice(begin, end) for begin, end in zip(begins, ends, strict=True)}


def _numbered(rows: Mapping[str, slice]) -> dict[str, int]:
    return {value: number for number, value in enumerate(rows)}


def _synced_files(folder: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):  # tantivy's notes for itself
            with path.open("rb") as file:
                os.fsync(file.fileno())
            yield path.relative_to(folder).as_posix(), (path.stat().st_size, _checksum(path))


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while part := file.read(_READ_AT_ONCE):
            checksum = zlib.crc32(part, checksum)
    return checksum
