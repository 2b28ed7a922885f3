"""A merged table of answers or scores -> the rows of one chunk, without the rest of it in memory."""

from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa

from rageval.records import Chunk
from rageval.runs.alignment import places
from rageval.storage.files import read_parquet
from rageval.storage.places import Place, version
from rageval.storage.stored_rows import stored_rows

_MOST_REPEATS: Final = 2**16


class MergedRows:
    """Where in a table the rows of each question, system and repeat stand.

    Args:
        table: Of answers or scores.
        questions: Of the same run.
    """

    def __init__(self, table: Place, questions: Place) -> None:
        self._rows = stored_rows(table)
        ids = read_parquet(questions, ["question_id"])["question_id"]
        self._numbers = places(ids, ids)
        keys = read_parquet(table, ["question_id", "system", "repeat"])
        systems = keys["system"].combine_chunks().dictionary_encode()
        self._systems = {name: code for code, name in enumerate(systems.dictionary.to_pylist())}
        asked = places(keys["question_id"], ids)
        groups = systems.indices.to_numpy().astype(np.int64) * _MOST_REPEATS + keys["repeat"].to_numpy()
        key = groups * len(ids) + asked
        order = np.argsort(key, kind="stable")
        order = order[asked[order] >= 0]
        self._keys, self._order = key[order], order.astype(np.int32)

    def of_chunk(self, system: str, chunk: Chunk) -> pa.Table:
        """Return the rows of a chunk in the order of the table."""
        code = self._systems.get(system)
        if code is None:
            return self._rows.take(np.empty(0, np.int64))
        group = code * _MOST_REPEATS + chunk.repeat
        wanted = group * len(self._numbers) + np.unique(self._numbers[chunk.start : chunk.stop])
        first, last = (np.searchsorted(self._keys, wanted, side=side) for side in ("left", "right"))
        parts = [self._order[start:stop] for start, stop in zip(first, last, strict=True)]
        return self._rows.take(np.sort(np.concatenate([np.empty(0, np.int32), *parts])).astype(np.int64))


def merged_rows(table: Place, questions: Place) -> MergedRows:
    """Return the same, until one of the files is written again.

    Raises:
        FileNotFoundError: If there is no such table.
    """
    return _merged_rows(table, questions, version(table), version(questions))


@lru_cache(maxsize=2)
def _merged_rows(table: Place, questions: Place, *versions: str) -> MergedRows:
    del versions  # parts of the cache's key
    return MergedRows(table, questions)
