"""The columns of a file -> what each of them holds, whose columns they are, and a sentence that says so."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from rageval.config.columns import ColumnConfig, ItemField
from rageval.corpus.messages import listed
from rageval.corpus.schemas import OWN, SCHEMAS, USUAL, FileSchema
from rageval.errors import ConfigError, DataError
from rageval.text.keys import plain_key

Needs = Sequence[Sequence[ItemField]]
"""What a file has to hold: one of each."""
QUESTIONS: Final[Needs] = (("question", "question_id"),)
_OTHERS: Final = re.compile(r"[^\w]+")


@dataclass(frozen=True, kw_only=True)
class FileColumns:
    """What is read from where."""

    name: str
    """Of the file, as in messages."""
    schema: FileSchema
    fields: Mapping[ItemField, str]
    """The column of each field that the file has."""
    separators: Mapping[ItemField, tuple[str, ...]]
    note: str
    """Whose columns they are, and which was read as what."""

    @cached_property
    def read(self) -> frozenset[str]:
        """Columns of which something is read, so that they are no tags."""
        return frozenset(self.fields.values()) | {column.partition(".")[0] for column in self.fields.values()}


def recognised(
    name: str,
    columns: Sequence[str],
    mapping: Sequence[ColumnConfig] = (),
    needs: Needs = QUESTIONS,
    textless: Collection[str] = (),
) -> FileColumns:
    """Return what the columns of a file hold: what the user says, then what their names say together.

    Args:
        name: What messages call the file.
        columns: Those that the file has.
        mapping: The user's own.
        needs: What has to be there.
        textless: Columns that hold nothing that can be a tag, as far as the file was looked at.

    Raises:
        DataError: If something that is needed is not there.
        ConfigError: If the mapping names a column that is not there, or names something twice.
    """
    schema = _schema(columns)
    mapped = _mapped(name, columns, mapping)
    fields = {**_by_name(schema, columns, mapped), **mapped}
    for alternatives in needs:
        if fields.keys().isdisjoint(alternatives):
            raise DataError(_missing(name, columns, alternatives))
    return FileColumns(
        name=name,
        schema=schema,
        fields=fields,
        separators={**schema.separators, **{entry.name: (entry.separator,) for entry in mapping if entry.separator}},
        note=_note(name, schema, columns, fields, bool(mapped), textless),
    )


def with_later(known: FileColumns, columns: Sequence[str]) -> FileColumns:
    """Return what is known of a file, and what its later rows have beside that: in JSON each row has names of its own.

    Args:
        known: What its first rows have; it stays as it is.
        columns: Those that no earlier row has.
    """
    found = _by_name(known.schema, columns, known.fields)
    if not found:
        return known
    more = ", ".join(column if column == field else f"{column} ({field})" for field, column in found.items())
    return replace(known, fields={**known.fields, **found}, note=f"{known.note}; later rows have {more}")


def value_of(values: Mapping[str, Any], column: str) -> Any:
    """Return what a row has in a column, also within an object: `output.text`."""
    if column in values or "." not in column:
        return values.get(column)
    first, _, rest = column.partition(".")
    inner = values.get(first)
    return value_of(inner, rest) if isinstance(inner, Mapping) else None


def known_names() -> frozenset[str]:
    """Return every name of a column that is known."""
    own = {name for names in USUAL.values() for name in names}
    return frozenset(own | {name for schema in SCHEMAS for name in schema.columns})


def _plain(column: str) -> str:
    """Return how names are compared: `User Input` is `user_input`, and `expectedOutput` is not `expected_output`."""
    return _OTHERS.sub("_", plain_key(column).casefold()).strip("_") or column


def _schema(columns: Collection[str]) -> FileSchema:
    plain = {_plain(column) for column in columns}
    return next((schema for schema in SCHEMAS if any(marks <= plain for marks in schema.marks)), OWN)


def _by_name(schema: FileSchema, columns: Sequence[str], mapped: Mapping[ItemField, str]) -> dict[ItemField, str]:
    """Return a column for each field that no mapping has; what the schema says goes before what is usual."""
    left = {_plain(column): column for column in reversed(columns) if column not in mapped.values()}
    fields: dict[ItemField, str] = {}
    for plain, field in schema.columns.items():
        if plain in left and field not in mapped and field not in fields:
            fields[field] = left.pop(plain)
    for field, names in USUAL.items():
        if field not in mapped and field not in fields and (found := next((n for n in names if n in left), None)):
            fields[field] = left.pop(found)
    return fields


def _mapped(name: str, columns: Sequence[str], mapping: Sequence[ColumnConfig]) -> dict[ItemField, str]:
    mapped: dict[ItemField, str] = {}
    for entry in mapping:
        if entry.column not in columns and entry.column.partition(".")[0] not in columns:
            raise ConfigError(
                f"{name}: there is no column {entry.column}, which `columns` names for {entry.name}; the file has "
                f"{listed(columns)}: name one of these"
            )
        if entry.name in mapped:
            raise ConfigError(f"{name}: `columns` names two columns for {entry.name}; name one of them")
        mapped[entry.name] = entry.column
    return mapped


def _missing(name: str, columns: Sequence[str], alternatives: Sequence[ItemField]) -> str:
    expected = " or ".join(alternatives)
    usual = ", ".join(dict.fromkeys(other for field in alternatives for other in USUAL.get(field, ())))
    hint = "; the separator of a CSV file is the comma" if len(columns) == 1 and ".csv" in name else ""
    return (
        f"{name}: expected a column with {expected} (names that are known: {usual}), found {listed(columns)}: rename "
        f"it, or say which it is in `columns`, as {{name: {alternatives[0]}, column: {columns[0] if columns else ''}}}"
        f"{hint}"
    )


def _note(
    name: str,
    schema: FileSchema,
    columns: Sequence[str],
    fields: Mapping[ItemField, str],
    is_mapped: bool,
    textless: Collection[str],
) -> str:
    renamed = [f"{column} is {field}" for field, column in fields.items() if column != field]
    used = {column.partition(".")[0] for column in fields.values()} | set(fields.values())
    others = [column for column in columns if column not in used]
    tags = [column for column in others if column not in textless]
    left_out = [column for column in others if column in textless]
    own = ", with the columns that the configuration names" if is_mapped else ""
    return (
        f"{name}: read as a file of {schema.name}{own}"
        + (f": {', '.join(renamed)}" if renamed else "")
        + (f"; {schema.remark}" if schema.remark else "")
        + (f"; tags are {listed(tags)}" if tags else "")
        + (f"; left out is what holds neither text nor number: {listed(left_out)}" if left_out else "")
    )
