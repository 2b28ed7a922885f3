"""Embedding vectors on disk or on an object store: a folder per embedding model, so that a text is embedded once."""

import logging
from collections.abc import Mapping, Sequence
from secrets import token_hex

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rageval.storage.files import read_parquet, write_parquet
from rageval.storage.places import Place, matching

_logger = logging.getLogger(__name__)
_MOST_FILES = 32
"""With more files than that, they are written as one."""
_LOOKS = 5
Vector = NDArray[np.float32]


class VectorCache:
    """The vectors of one embedding model by the hash of their text.

    Each write adds a file, so several processes and machines may write at the same time and none loses anything. Many
    files are written as one, and only then removed, so whoever reads meanwhile finds every vector in one or the other.

    A file is there as a whole or not at all, and its pages carry checksums: a crash or a damaged disk costs embedding
    time, never a wrong vector. Delete the folder to get its space back.
    """

    def __init__(self, folder: Place, model: str) -> None:
        """Name the folder; nothing is read or written yet.

        Args:
            folder: The folder.
            model: Identity of the embedding model; files that another model wrote are not used.
        """
        self._folder = folder
        self._model = model
        self._read: set[str] = set()
        self._unusable: list[Place] = []

    def read(self) -> dict[str, Vector]:
        """Return the stored vectors by text hash, but for those that this cache has returned before.

        A file that cannot be used is named in a warning and left out; its texts are embedded again, and the next
        `write` removes it.

        Raises:
            RunStoppedError: If an object store cannot be used.
        """
        found: dict[str, Vector] = {}
        for _ in range(_LOOKS):  # a file that goes while it is read has become part of another, which has to be found
            gone = False
            for path in self._files():
                if path.name in self._read:
                    continue
                try:
                    found.update(self._vectors(path))
                except FileNotFoundError:
                    gone = True
                    continue
                self._read.add(path.name)
            if not gone:
                break
        return found

    def write(self, vectors: Mapping[str, Vector]) -> None:
        """Add vectors to the stored ones.

        Args:
            vectors: Vectors of the same length by text hash, at least one.

        Raises:
            RunStoppedError: If they cannot be written.
        """
        self._add(vectors)
        while self._unusable:
            self._unusable.pop().unlink(missing_ok=True)
        files = self._files()
        if len(files) > _MOST_FILES:
            self._write_as_one(files)

    def _write_as_one(self, files: Sequence[Place]) -> None:
        merged: dict[str, Vector] = {}
        taken = []
        for path in files:
            try:
                merged.update(self._vectors(path))
                taken.append(path)
            except FileNotFoundError:  # another process writes them as one, too: what both have written is the same
                continue
        if merged:
            self._add(merged)
        for path in taken:
            path.unlink(missing_ok=True)

    def _add(self, vectors: Mapping[str, Vector]) -> None:
        matrix = np.stack(list(vectors.values()))
        columns = {
            "text_hash": pa.array(vectors.keys(), pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1]),
        }
        table = pa.table(columns).replace_schema_metadata({"rageval.model": self._model})
        path = self._folder / f"{token_hex(8)}.parquet"
        write_parquet(path, [table], table.schema)
        self._read.add(path.name)

    def _files(self) -> list[Place]:
        return matching(self._folder, "*.parquet")

    def _vectors(self, path: Place) -> dict[str, Vector]:
        """Return a file's vectors; none, with a warning, if it cannot be used.

        Raises:
            FileNotFoundError: If it is gone.
        """
        try:
            return _checked(read_parquet(path), self._model)
        except FileNotFoundError:
            raise
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            _logger.warning("%s cannot be read (%s); its texts are embedded again", path, error)
            self._unusable.append(path)
            return {}


def embedding_model(folder: Place) -> str | None:
    """Return the identity of the model whose vectors a folder holds, or None."""
    for path in matching(folder, "*.parquet"):
        try:
            model = (read_parquet(path, ["text_hash"]).schema.metadata or {}).get(b"rageval.model", b"").decode()
        except (pa.ArrowException, OSError, ValueError):
            continue
        if model:
            return str(model)
    return None


def _checked(table: pa.Table, model: str) -> dict[str, Vector]:
    found = (table.schema.metadata or {}).get(b"rageval.model", b"").decode()
    if found != model:
        raise ValueError(f"expected vectors of {model}, found those of {found or 'an unknown model'}")
    column = table["vector"].combine_chunks()
    matrix = np.asarray(column.flatten(), dtype=np.float32).reshape(table.num_rows, column.type.list_size)
    if not np.isfinite(matrix).all():
        raise ValueError("found vectors that are not finite")
    return dict(zip(table["text_hash"].to_pylist(), matrix, strict=True))
