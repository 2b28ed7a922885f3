"""Texts and rows -> Markdown that shows them as they are."""

import re
from collections.abc import Mapping, Sequence

from rageval.pages.formats import printable

_SPECIAL = re.compile(r"([\\`*\[\]|~])")


def escape(text: str) -> str:
    """Return the text so that Markdown shows it as it is, on one line: no table cell, HTML or link in it."""
    text = _SPECIAL.sub(r"\\\1", " ".join(printable(text).split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def section(title: str, rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows of words as a table under a heading; nothing for no rows."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    table = "\n".join(f"| {' | '.join(escape(text) for text in line)} |" for line in lines)
    return f"## {title}\n\n{table}"
