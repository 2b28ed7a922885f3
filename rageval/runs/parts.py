"""Whose rows a chunk is stored by, until they are merged: the table that they become, their keys and their schema."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import pyarrow as pa

from rageval.tables import SCHEMAS

ChunkTable: TypeAlias = Literal["answers", "scores"]
Part: TypeAlias = Literal["answers", "scores", "computed"]
"""Parts and journals of a chunk that have one writer: answers, what judges were asked for, and the scores that ask no
model, which are computed behind the others."""

PARTS: Final[Mapping[ChunkTable, tuple[Part, ...]]] = {"answers": ("answers",), "scores": ("computed", "scores")}
"""What a table is merged from, in the order of its rows."""
KEYS: Final[Mapping[Part, tuple[str, ...]]] = {
    "answers": ("question_id",),
    "scores": ("question_id", "metric"),
    "computed": ("question_id", "metric"),
}


def table_of(part: Part) -> ChunkTable:
    """Return the table that a part is merged into."""
    return next(table for table, parts in PARTS.items() if part in parts)


def schema_of(name: str) -> pa.Schema | None:
    """Return the schema of a table, or of a part of one; None for any other name."""
    return SCHEMAS.get(next((table for table, parts in PARTS.items() if name in parts), name))
