"""Columns by question -> the same in the order of a run's questions; the ids stay where they are, in Arrow's memory."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Ids: TypeAlias = "pa.ChunkedArray | pa.Array | pd.Series[Any] | pd.Index[Any]"


def places(ids: Ids, known: Ids) -> NDArray[np.int64]:
    """Return where each id stands first among the known ones, counted from 0; -1 where it does not."""
    column, others = _column(ids), _column(known)
    found = pc.index_in(column, value_set=others if others.type == column.type else others.cast(column.type))
    return np.asarray(pc.fill_null(found, -1).to_numpy(), dtype=np.int64)


def aligned(ids: Ids, values: Any, known: Ids) -> NDArray[np.float64]:
    """Return one value per known id: of several the last, NaN where there is none.

    Args:
        ids: Shape `(n,)`; those that are not known are left out.
        values: Numbers, shape `(n,)`.
        known: All ids, each once.
    """
    found = np.full(len(known), np.nan)
    at = places(ids, known)
    found[at[at >= 0]] = np.asarray(values, dtype=np.float64)[at >= 0]
    return found


def _column(ids: Ids) -> Any:
    if isinstance(ids, pa.ChunkedArray):
        return ids.combine_chunks()
    return ids if isinstance(ids, pa.Array) else pa.array(ids)


def rows_by(table: pa.Table, keys: Sequence[str]) -> dict[tuple[str, ...], NDArray[np.int64]]:
    """Return the numbers of the rows of each combination of these columns, which hold texts.

    Combinations come in the order of their first row, and so do the rows of each.
    """
    encoded = [_encoded(table[key]) for key in keys]
    codes = np.zeros(len(table), np.int32)
    for column in encoded:
        codes = codes * max(1, len(column.dictionary)) + column.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    found = {}
    for rows in sorted(np.split(order, starts[1:]) if len(order) else [], key=lambda rows: rows[0]):
        key = tuple(column.dictionary[column.indices[int(rows[0])].as_py()].as_py() for column in encoded)
        found[key] = rows
    return found


def _encoded(texts: pa.ChunkedArray) -> pa.DictionaryArray:
    column = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
    whole = column.unify_dictionaries().combine_chunks()
    return whole if isinstance(whole, pa.DictionaryArray) else whole.chunk(0)
