"""Documents and ground truth as they stand in their files -> a cleaned copy, with nothing decided that is a choice.

Only what changes no result is done: rows that repeat another one are dropped, identical documents become one and
their questions are pointed to it. Everything else is left to a person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rageval.audit.row_content import RowContent, content_of, extra_lines
from rageval.corpus.rows import Row, RowFile

_ROW = ("question", "document")


@dataclass(frozen=True, kw_only=True)
class FixedRows:
    """The rows of both copies, and a sentence for each thing that was done."""

    documents: tuple[Mapping[str, Any], ...]
    questions: tuple[Mapping[str, Any], ...]
    done: tuple[str, ...]


def fix(documents: RowFile, truth: RowFile) -> FixedRows:
    """Return both files with the safe fixes applied.

    Documents with the same id and content, or with one text that goes on for some lines, become one with the longer
    text. Documents that are identical but for their ids become the first of them. Rows that a run would refuse stay as
    they are; rows that could not be read at all are not in the copy, and that is said.
    """
    done: list[str] = []
    kept = _unique_ids(documents, done)
    kept, moved = _merged(kept, done)
    questions = _repointed(truth, moved, done)
    for file in (documents, truth):
        done += [f"Left out, because it cannot be read: {problem}" for problem in file.problems]
    return FixedRows(documents=tuple(row.values for row in kept), questions=tuple(questions), done=tuple(done))


def _unique_ids(file: RowFile, done: list[str]) -> list[Row]:
    """Return the rows, one for each id and content; the row with the longer text takes the place of the shorter."""
    kept: list[Row] = []
    first: dict[str, int] = {}
    for row in file.rows:
        key = row.values.get("id")
        if not isinstance(key, str) or not key.strip() or key not in first:
            if isinstance(key, str):
                first[key] = len(kept)
            kept.append(row)
            continue
        earlier = kept[first[key]]
        if content_of(earlier) == content_of(row):
            done.append(f"Removed {file.name}, {row.place}: it repeats the document {key} ({earlier.place}).")
        elif (longer := _longer(earlier, row)) is not None:
            shorter = row if longer is earlier else earlier
            kept[first[key]] = longer
            done.append(
                f"Removed {file.name}, {shorter.place}: the document {key} ({longer.place}) has the same text and more "
                "lines at its end."
            )
        else:
            kept.append(row)
    return kept


def _merged(rows: list[Row], done: list[str]) -> tuple[list[Row], dict[str, str]]:
    """Return the rows without documents that are identical to an earlier one, and which id each of those became."""
    counts: dict[str, int] = {}
    for row in rows:
        key = row.values.get("id")
        counts[key if isinstance(key, str) else ""] = counts.get(key if isinstance(key, str) else "", 0) + 1
    kept: list[Row] = []
    moved: dict[str, str] = {}
    first: dict[RowContent, str] = {}
    for row in rows:
        key, content = row.values.get("id"), content_of(row)
        usable = isinstance(key, str) and bool(key.strip()) and counts[key] == 1
        if not usable or not isinstance(content.text, str):
            kept.append(row)  # an id with two contents: its questions cannot be told apart
        elif content in first:
            moved[str(key)] = first[content]
            done.append(f"Merged the document {key} ({row.place}) with {first[content]}, which is identical.")
        else:
            first[content] = str(key)
            kept.append(row)
    return kept, moved


def _repointed(file: RowFile, moved: Mapping[str, str], done: list[str]) -> list[Mapping[str, Any]]:
    """Return the ground truth with merged documents replaced, each row once.

    The same row with two grades is left to a person, unless it came of a merge: then the first of them stays.
    """
    kept: list[Mapping[str, Any]] = []
    seen: dict[tuple[str, ...], tuple[str, object]] = {}
    for row in file.rows:
        values = dict(row.values)
        before = values.get("document")
        is_moved = isinstance(before, str) and before in moved
        if isinstance(before, str) and is_moved:
            values["document"] = moved[before]
            done.append(f"Pointed {file.name}, {row.place} from {before} to {moved[before]}.")
        key = tuple(value for name in _ROW if isinstance(value := values.get(name), str))
        grade = values.get("grade")
        if len(key) == len(_ROW):
            place, first_grade = seen.setdefault(key, (row.place, grade))
            if place != row.place and (is_moved or grade == first_grade):
                done.append(f"Removed {file.name}, {row.place}: it repeats {place}.")
                continue
        kept.append(values)
    return kept


def _longer(first: Row, second: Row) -> Row | None:
    """Return the row whose text is the other's and more lines, if that is all that differs; else None."""
    if extra_lines([content_of(first), content_of(second)]) is None:
        return None
    return max(first, second, key=lambda row: len(row.values["text"]))
