"""Vectors -> the part of an embedded index that finds the nearest by exact cosine, in a file mapped from disk."""

import math
import mmap
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rageval.embedding.embedding_model import Matrix

Rows = NDArray[np.int64]
_BATCH: Final = 500
"""Queries that are compared with a block of vectors at once."""
_BLOCK: Final = 16_384
"""Vectors of a block: the cosines of a batch with them take 33 MB, whatever the size of the index."""
_MORE: Final = 32
"""Kept beyond what is wanted: float32 puts near-equal cosines in an order of its own."""


def write_vectors(path: Path, vectors: Matrix, order: Rows) -> None:
    """Write vectors, brought to length 1, as a NumPy file of float32, no more than a block in memory.

    Args:
        path: The file.
        vectors: None of them all zeros.
        order: Which one comes first, second, and so on.

    Raises:
        OSError: If the disk takes nothing more.
    """
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": vectors.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for rows in _blocks(slice(0, len(order))):
            # Written, not mapped: on a full disk a write is an error, and touching a mapped page ends the process.
            file.write(_unit(vectors[order[rows]]).astype("<f4", copy=False).tobytes())


def open_vectors(path: Path, numbers: Rows, rows: Mapping[str, slice]) -> "VectorIndex":
    """Map a file that `write_vectors` has written; see `VectorIndex`.

    Raises:
        OSError, ValueError: If it is gone or damaged.
    """
    with ExitStack() as opened:
        file = opened.enter_context(path.open("rb"))
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        begin, mapped = file.tell(), mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        vectors = np.frombuffer(mapped, dtype, count=math.prod(shape), offset=begin).reshape(shape)
        index = VectorIndex(file=file, begin=begin, mapped=mapped, vectors=vectors, numbers=numbers, rows=rows)
        weakref.finalize(index, opened.pop_all().close)  # it is read as long as it is searched, also after its removal
    return index


@dataclass(frozen=True, kw_only=True)
class VectorIndex:
    """The vectors of an index, mapped from disk: of many, few more than a block are in the memory of the process."""

    file: BufferedReader
    begin: int
    """Where the first vector begins in the file."""
    mapped: mmap.mmap
    vectors: Matrix
    """Of length 1; those of documents with one filter value stand together."""
    numbers: Rows
    """The number of each one's document; equal cosines are in the order of these."""
    rows: Mapping[str, slice]
    """Of each filter value; of the empty one, all."""

    def nearest(self, queries: Matrix, only: str, k: int) -> Iterator[list[tuple[int, float]]]:
        """Yield for each query the numbers and cosines of the best `k` documents with a filter value, best first.

        At most a batch of queries and a block of vectors are compared at once, so memory does not grow with either.
        What comes near the best is compared once more in float64, so that the order does not depend on how a matrix is
        multiplied.
        """
        within = self.rows.get(only, slice(0, 0))
        for start in range(0, len(queries), _BATCH):
            batch = _unit(queries[start : start + _BATCH])
            for query, candidates in zip(batch, self._candidates(batch, within, k + _MORE), strict=True):
                yield self._ordered(query, candidates)[:k]

    def _candidates(self, queries: Matrix, within: slice, count: int) -> list[Rows]:
        """Return the rows of the nearest `count` for each query, in no order."""
        rows: list[Rows] = [np.empty(0, np.int64) for _ in queries]
        cosines: list[Matrix] = [np.empty(0, np.float32) for _ in queries]
        worst = np.full(len(queries), -np.inf, np.float32)
        for block in _blocks(within):
            compared = queries @ self.vectors[block].T
            self._give_back(block)
            for number in np.flatnonzero(compared.max(axis=1) >= worst):
                near = np.flatnonzero(compared[number] >= worst[number])
                seen = np.concatenate((rows[number], near + block.start))
                values = np.concatenate((cosines[number], compared[number][near]))
                best = self._best(values, seen, count)
                rows[number], cosines[number] = seen[best], values[best]
                if len(best) == count:
                    worst[number] = cosines[number].min()
        return rows

    def _give_back(self, rows: slice) -> None:
        """Let the system count pages that were read as its own again; it keeps them as long as it has room."""
        if len(self.vectors) > _BLOCK and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
            first = self.vectors[: rows.start].nbytes // mmap.PAGESIZE * mmap.PAGESIZE
            self.mapped.madvise(mmap.MADV_DONTNEED, first, self.vectors[rows].nbytes)

    def _at(self, rows: Rows) -> Matrix:
        """Return vectors that lie apart, read: where one is touched, the system may map megabytes around it."""
        if len(self.vectors) <= _BLOCK or not hasattr(os, "pread"):  # not on Windows
            return self.vectors[rows]
        size = self.vectors.strides[0]
        parts = [os.pread(self.file.fileno(), size, self.begin + row * size) for row in rows.tolist()]
        return np.frombuffer(b"".join(parts), self.vectors.dtype).reshape(len(rows), -1)

    def _best(self, cosines: Matrix, rows: Rows, count: int) -> Rows:
        """Return the positions of the highest `count`, and where the last of them are equal, of the first documents."""
        if len(cosines) <= count:
            return np.arange(len(cosines))
        last = np.partition(cosines, -count)[-count]
        above, equal = np.flatnonzero(cosines > last), np.flatnonzero(cosines == last)
        first = equal[np.argsort(self.numbers[rows[equal]])][: count - len(above)]
        return np.concatenate((above, first))

    def _ordered(self, query: Matrix, rows: Rows) -> list[tuple[int, float]]:
        exact = np.clip((self._at(rows) * query.astype(np.float64)).sum(axis=1), -1.0, 1.0)
        numbers = self.numbers[rows]
        return [(int(numbers[at]), float(exact[at])) for at in np.lexsort((numbers, -exact))]


def _blocks(rows: slice) -> Iterator[slice]:
    for start in range(rows.start, rows.stop, _BLOCK):
        yield slice(start, min(start + _BLOCK, rows.stop))


def _unit(vectors: Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Matrix = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
