"""Text that others wrote -> text that a terminal, a log or a page shows as it is, and obeys in nothing."""

import re
from typing import Final

_OBEYED: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # what moves the cursor, colours, rings, sets titles, answers as if typed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the order of what is read
    "\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e007f"  # line ends that few know, notes and tags that nobody sees
    "\ud800-\udfff]"  # half characters, which no stream takes
)


def printable(text: str) -> str:
    """Return the text with U+FFFD for each character that a terminal obeys or that hides others.

    Line feeds and tabs stay, and so does what scripts need to be read: joiners, and spaces of any width.
    """
    return _OBEYED.sub("\N{REPLACEMENT CHARACTER}", text)


def plain_text(text: str) -> str:
    """Return the text without lone surrogates, which no search engine or tokenizer takes: they have no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
