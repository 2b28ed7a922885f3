"""Rows of documents as they stand in their file -> what they say beside their id, and whether one only says more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rageval.corpus.row_values import as_text
from rageval.corpus.rows import Row


@dataclass(frozen=True, kw_only=True)
class RowContent:
    """What a row says beside its id; two rows are the same document if this is equal."""

    others: tuple[tuple[str, str], ...]
    """Every other column with a value, by name."""
    text: object

    def columns(self) -> Mapping[str, object]:
        """Return all values by column."""
        return {**dict(self.others), "text": self.text}


def content_of(row: Row) -> RowContent:
    """Return what a row says beside its id; empty values count as none."""
    texts = {name: as_text(value) for name, value in row.values.items() if name and name not in ("id", "text")}
    text = row.values.get("text")
    return RowContent(
        others=tuple(sorted((name, value) for name, value in texts.items() if value)),
        text=text if isinstance(text, str | None) else str(text),
    )


def extra_lines(contents: Sequence[RowContent]) -> str | None:
    """Return what the longest text has more than the shortest, if that is all that differs; else None."""
    texts = [content.text for content in contents]
    if len({content.others for content in contents}) > 1 or not all(isinstance(text, str) for text in texts):
        return None
    ordered = sorted({str(text) for text in texts}, key=len)
    if not all(longer.startswith(f"{shorter}\n") for shorter, longer in pairwise(ordered)):
        return None
    return ordered[-1][len(ordered[0]) + 1 :]
