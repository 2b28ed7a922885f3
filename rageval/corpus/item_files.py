"""A file of questions or recorded answers -> its items, batch by batch, whoever wrote the file."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any, Final

from rageval.config.columns import ColumnConfig, ItemField
from rageval.corpus.columns import QUESTIONS, FileColumns, Needs, recognised, value_of, with_later
from rageval.corpus.item_rows import item_of
from rageval.corpus.items import ItemBatch, RawItem
from rageval.corpus.messages import raise_problems
from rageval.corpus.opening import opened
from rageval.corpus.row_stream import stream_rows
from rageval.corpus.row_values import as_text
from rageval.corpus.rows import Row
from rageval.errors import DataError

BATCH_ROWS: Final = 1000
"""Rows that are read at once; the columns of the first of them are those of the file."""


def read_items(path: str, columns: Sequence[ColumnConfig] = (), needs: Needs = QUESTIONS) -> Iterator[ItemBatch]:
    """Yield what the rows of a file say, in little memory however many they are.

    A row that cannot be used becomes a problem of its batch; nothing is left out in silence.

    Args:
        path: Path or URL of the file: CSV, JSON Lines, JSON or Parquet, compressed or not.
        columns: What the user says of its columns; the others are recognised by their names.
        needs: What the file has to hold, see `recognised`.

    Raises:
        DataError: If the file cannot be read, has no rows, or lacks what is needed.
        ConfigError: If a variable of its URL is not set, the run may not read it, or `columns` names what is not there.
    """
    with opened(path) as file:
        rows = stream_rows(file)
        first = list(islice(rows, BATCH_ROWS))
        names = dict.fromkeys(name for row in first if isinstance(row, Row) for name in row.values)
        if not names:
            raise_problems([row for row in first if isinstance(row, str)])
            raise DataError(f"{file.name}: the file holds no rows; expected rows with a question")
        textless = {name for name in names if not any(_has_text(row, name) for row in first)}
        known = recognised(file.name, list(names), columns, needs, textless)
        answers = _answers(chain(first, rows), known)
        while batch := list(islice(answers, BATCH_ROWS)):
            later = {name for row in chain.from_iterable(batch) if isinstance(row, Row) for name in row.values}
            if new := [name for name in later if name not in names]:
                names |= dict.fromkeys(new)
                known = with_later(known, sorted(new))
            yield _batch(batch, known)


def first_columns(path: str) -> tuple[str, ...]:
    """Return the columns of the first rows of a file.

    Raises:
        DataError: If the file cannot be read.
        ConfigError: If the run may not read it.
    """
    with opened(path) as file:
        rows = islice(stream_rows(file), BATCH_ROWS)
        return tuple(dict.fromkeys(name for row in rows if isinstance(row, Row) for name in row.values))


def _has_text(row: Row | str, name: str) -> bool:
    return isinstance(row, Row) and bool(as_text(row.values.get(name)))


def _batch(answers: Sequence[list[Row] | str], columns: FileColumns) -> ItemBatch:
    items: list[RawItem] = []
    places: list[str] = []
    problems: list[str] = []
    for rows in answers:
        if isinstance(rows, str):
            problems.append(rows)
            continue
        try:
            items.append(item_of([row.values for row in rows], columns))
            places.append(rows[0].place)
        except ValueError as error:
            problems.append(f"{columns.name}, {rows[0].place}: {error}")
        except RecursionError:
            problems.append(f"{columns.name}, {rows[0].place}: holds lists within lists without end: flatten them")
    return ItemBatch(
        items=tuple(items), places=tuple(places), problems=tuple(problems), schema=columns.schema.name,
        note=columns.note,
    )  # fmt: skip


def _answers(rows: Iterator[Row | str], columns: FileColumns) -> Iterator[list[Row] | str]:
    """Yield the rows of each answer: one, or as many as it has passages, where each is a row."""
    if "passage" not in columns.fields:
        yield from ([row] if isinstance(row, Row) else row for row in rows)
        return
    key: Any = None
    open_rows: list[Row] = []
    seen: set[int] = set()
    for row in rows:
        if isinstance(row, str):
            yield row
            continue
        if open_rows and _key(row, columns) != key:
            yield open_rows
            open_rows = []
        if not open_rows:
            key = _key(row, columns)
            if hash(key) in seen:
                yield f"{columns.name}, {row.place}: its answer has rows further up: sort the file by question and run"
                continue
            seen.add(hash(key))
        open_rows.append(row)
    if open_rows:
        yield open_rows


def _key(row: Row, columns: FileColumns) -> tuple[str, ...]:
    """Return what the rows of one answer share."""
    asked: ItemField = "question_id" if "question_id" in columns.fields else "question"
    shared: tuple[ItemField, ...] = (asked, "repeat", "system")
    return tuple(str(value_of(row.values, columns.fields[name])) for name in shared if name in columns.fields)
