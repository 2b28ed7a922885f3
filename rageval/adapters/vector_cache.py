"""Embedding vectors on disk: one Parquet file per embedding model, so that a text is embedded once."""

import logging
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

_logger = logging.getLogger(__name__)
Vector = NDArray[np.float32]


class VectorCache:
    """The vectors of one embedding model by the hash of their text.

    A file is written under a temporary name and renamed, and its pages carry checksums: a crash or a damaged disk
    costs embedding time, never a wrong vector. Delete the file to get its space back.
    """

    def __init__(self, path: Path, model: str) -> None:
        """Name the file; nothing is read or written yet.

        Args:
            path: The Parquet file.
            model: Identity of the embedding model; a file that another model wrote is not used.
        """
        self._path = path
        self._model = model

    def read(self) -> dict[str, Vector]:
        """Return all stored vectors by text hash.

        Empty if there is no file, or, with a warning, if the file cannot be used.
        """
        if not self._path.exists():
            return {}
        try:
            table = pq.read_table(self._path, page_checksum_verification=True)
            return self._vectors(table)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            _logger.warning("%s cannot be read (%s); its texts are embedded again", self._path, error)
            return {}

    def write(self, vectors: Mapping[str, Vector]) -> None:
        """Replace the stored vectors as a whole.

        Args:
            vectors: Vectors of the same length by text hash, at least one.

        Raises:
            OSError: If the file cannot be written.
        """
        matrix = np.stack(list(vectors.values()))
        columns = {
            "text_hash": pa.array(vectors.keys(), pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1]),
        }
        table = pa.table(columns).replace_schema_metadata({"rageval.model": self._model})
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f"{self._path.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            pq.write_table(table, temporary, write_page_checksum=True)
            temporary.replace(self._path)
        finally:
            temporary.unlink(missing_ok=True)

    def _vectors(self, table: pa.Table) -> dict[str, Vector]:
        model = (table.schema.metadata or {}).get(b"rageval.model", b"").decode()
        if model != self._model:
            raise ValueError(f"expected vectors of {self._model}, found those of {model or 'an unknown model'}")
        column = table["vector"].combine_chunks()
        matrix = np.asarray(column.flatten(), dtype=np.float32).reshape(table.num_rows, column.type.list_size)
        if not np.isfinite(matrix).all():
            raise ValueError("found vectors that are not finite")
        return dict(zip(table["text_hash"].to_pylist(), matrix, strict=True))
