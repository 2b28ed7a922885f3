"""A file of embedding vectors that is written once: a header, sorted keys, a checksum for each vector, the vectors.

    bytes                       what
    1,024                       JSON: format, model, rows, dimensions, checksum of the next two
    16 x rows                   keys, as two numbers of 64 bits each, in the order of the first
    4 x rows                    CRC-32 of each vector
    4 x dimensions x rows       vectors, float32

All numbers are little-endian. A vector is read by itself, so memory is that of the keys.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from rageval.embedding.embedding_model import Matrix

Keys = NDArray[np.uint64]
"""Shape `(n, 2)`: hashes of 128 bits."""
_FORMAT: Final = 1
_HEADER: Final = 1024
_GAP: Final = 8
"""Rows that are rather read than skipped."""
_READ_AT_ONCE: Final = 2048


@dataclass(frozen=True, kw_only=True, eq=False)
class VectorSegment:
    """An open segment: what it holds, but not the vectors."""

    path: Path
    bytes: int
    keys: Keys
    checksums: NDArray[np.uint32]
    dimensions: int

    def rows(self, keys: Keys) -> NDArray[np.int64]:
        """Return the row of each key, -1 for those that are not there.

        Of keys with the same first number, which hashes do not have, the later ones count as not there.
        """
        found = np.searchsorted(self.keys[:, 0], keys[:, 0])
        inside = np.minimum(found, len(self.keys) - 1)
        return np.where((self.keys[inside] == keys).all(axis=1), inside, -1)

    def read(self, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Matrix]]:
        """Yield the vectors of ascending rows, some at a time: which of the rows, and theirs.

        A vector that is damaged is left out.

        Raises:
            OSError: If the file is gone, or cannot be read.
        """
        size = 4 * self.dimensions
        with self.path.open("rb") as file:
            for part in _runs(rows):
                first, last = int(rows[part[0]]), int(rows[part[-1]])
                file.seek(_HEADER + 20 * len(self.keys) + first * size)
                block = np.frombuffer(_exactly(file, (last - first + 1) * size), "<f4").reshape(-1, self.dimensions)
                vectors = block[rows[part] - first]
                whole = np.array([zlib.crc32(vector) for vector in vectors], np.uint32) == self.checksums[rows[part]]
                yield part[whole], vectors[whole]


def write_segment(path: Path, model: str, keys: Keys, vectors: Sequence[Matrix]) -> None:
    """Write a segment.

    Args:
        path: A file that is not there.
        model: Identity of the embedding model.
        keys: Of the vectors, in the order of the first numbers.
        vectors: In the order of the keys, in one part or several.
    """
    checksums = np.array([zlib.crc32(row) for part in vectors for row in np.ascontiguousarray(part, "<f4")], "<u4")
    index = keys.astype("<u8").tobytes() + checksums.tobytes()
    facts = {
        "format": _FORMAT, "model": model, "rows": len(keys), "dimensions": vectors[0].shape[1],
        "checksum": zlib.crc32(index),
    }  # fmt: skip
    header = json.dumps(facts, ensure_ascii=False).encode()
    if len(header) > _HEADER:
        raise ValueError(f"the name of the embedding model {model[:50]}... is too long")
    with path.open("wb") as file:
        file.write(header.ljust(_HEADER))
        file.write(index)
        for part in vectors:
            file.write(np.ascontiguousarray(part, "<f4").data)


def open_segment(path: Path, model: str) -> VectorSegment:
    """Open a segment.

    Raises:
        FileNotFoundError: If it is gone.
        OSError: If it cannot be read.
        ValueError: If it is damaged, or another model's.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        facts = _facts(_exactly(file, _HEADER))
        rows, dimensions = int(facts["rows"]), int(facts["dimensions"])
        if rows < 1 or dimensions < 1 or size != _HEADER + rows * (20 + 4 * dimensions):
            raise ValueError(f"found {size:,} bytes, which do not fit its {rows:,} vectors")
        index = _exactly(file, 20 * rows)
    if zlib.crc32(index) != facts["checksum"]:
        raise ValueError("found other keys than were written")
    if facts["model"] != model:
        raise ValueError(f"expected vectors of {model}, found those of {facts['model']}")
    return VectorSegment(
        path=path,
        bytes=size,
        keys=np.frombuffer(index, "<u8", 2 * rows).reshape(rows, 2),
        checksums=np.frombuffer(index, "<u4", rows, 16 * rows),
        dimensions=dimensions,
    )


def model_of(header: bytes) -> str | None:
    """Return the identity of the model whose vectors a segment holds, by its first bytes; None if it is damaged."""
    try:
        return str(_facts(header[:_HEADER])["model"])
    except ValueError:
        return None


def _facts(header: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(header)
    except UnicodeDecodeError as error:
        raise ValueError("found no header") from error
    names = {"format": int, "model": str, "rows": int, "dimensions": int, "checksum": int}
    if not isinstance(facts, dict) or {name: type(value) for name, value in facts.items()} != names:
        raise ValueError("found another header than was written")
    if facts["format"] != _FORMAT:
        raise ValueError(f"expected the format {_FORMAT}, found {facts['format']}")
    return facts


def _runs(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield positions of ascending rows, those together that are read at once."""
    if len(rows):
        for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) > _GAP) + 1):
            for start in range(0, len(run), _READ_AT_ONCE // _GAP):
                yield run[start : start + _READ_AT_ONCE // _GAP]


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError(f"expected {size:,} more bytes, found {len(data):,}")
    return data
