"""Names that rows are joined by (ids, columns, filters) -> one way to write each, and how those that look alike differ.

Spreadsheets, web pages and file systems change such names in ways that nobody sees.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Final

_UNSEEN: Final = re.compile("[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Characters without width that no spelling needs; the joiners U+200C and U+200D are left, since some do."""
_JOINERS: Final = re.compile("[\u200c\u200d]")
_SPACES: Final = re.compile(r"\s+")
_DASHES: Final = re.compile("[\u2010-\u2015\u2212\u2043]")
_LOOK_LATIN: Final = str.maketrans(
    "асеорхуіјѕԁһӏАВЕКМНОРСТХУІЈЅαοινυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ’‘“”`", "aceopxyijsdhlABEKMHOPCTXYIJSaoivuABEZHIKMNOPTYX''\"\"'"
)
_NUMBER: Final = re.compile(r"0*(\d+?)(?:\.0+)?")
_SHOWN: Final = 3


def plain_key(text: str) -> str:
    """Return the one way to write a name: composed (NFC), with plain spaces, and none around it.

    Characters that cannot be seen are left out. Whatever can be seen stays, so the names of two documents stay two.
    """
    if text.isascii():
        return text.strip()
    seen = _UNSEEN.sub("", unicodedata.normalize("NFC", text))
    return "".join(" " if unicodedata.category(char) == "Zs" else char for char in seen).strip()


class LookAlikes:
    """Finds the names that a person would take for another one."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, str] = {}
        for name in names:
            self._names.setdefault(_skeleton(name), name)

    def hint(self, name: str) -> str:
        """Return `, but ... looks like it` for a name that is not among the names, or nothing if none looks like it."""
        alike = self._names.get(_skeleton(name))
        return f"; {alike[:80]} looks like it, but the one here has {difference(name, alike)}" if alike else ""


def difference_hint(found: str, expected: str) -> str:
    """Return what differs between two names that look alike, as the end of a sentence; nothing where they do not."""
    return f"; they look alike, but the first has {difference(found, expected)}" if _alike(found, expected) else ""


def difference(found: str, expected: str) -> str:
    """Return by code points what the first of two different names has in place of what the other one has.

    Letters of the other case can be seen, and need no code points.
    """
    if found.casefold() == expected.casefold():
        return "other upper and lower case letters"
    parts = list(_differences(found, expected))
    return ", ".join(parts[:_SHOWN]) + (f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else "")


def _differences(found: str, expected: str) -> Iterator[str]:
    for kind, start, end, first, last in SequenceMatcher(None, found, expected, autojunk=False).get_opcodes():
        if kind != "equal":
            here, there = _code_points(found[start:end]), _code_points(expected[first:last])
            yield f"{here or 'nothing'} in place of {there or 'nothing'}"


def _code_points(text: str) -> str:
    return " ".join(f"U+{ord(char):04X} {unicodedata.name(char, '(no name)')}" for char in text)


def _alike(first: str, second: str) -> bool:
    return _skeleton(first) == _skeleton(second)


def _skeleton(name: str) -> str:
    """Return what is equal for names that look alike, or that programs make of each other, such as 7, 007 and 7.0."""
    bare = _JOINERS.sub("", plain_key(unicodedata.normalize("NFKC", name)))
    plain = _DASHES.sub("-", _SPACES.sub(" ", bare)).translate(_LOOK_LATIN).casefold()
    number = _NUMBER.fullmatch(plain)
    return number[1] if number else plain
