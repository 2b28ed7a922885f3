"""Texts in scripts that put no spaces between their words -> pieces that can be searched for and compared.

Chinese, Japanese, Thai, Lao, Khmer and Burmese are written without spaces; Korean has them, but hangs its endings on
the words. Programs that look for spaces take a whole sentence for one word there. No dictionary is needed to find such
texts: it is enough to cut them into characters, or into all pairs of neighbouring ones.
"""

import re
import unicodedata
from typing import Final

_HAN_AND_KANA: Final = (
    "\u3005\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U000323af"
)
_THAI_AND_LAO: Final = "\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2-\u0eb3\u0ebd-\u0ec6\u0edc-\u0edf"
_BURMESE_AND_KHMER: Final = "\u1000-\u102a\u103f\u1050-\u1055\u1780-\u17b3"
_HANGUL: Final = "\u1100-\u11ff\uac00-\ud7a3"
_WIDE_LATIN_AND_NARROW_KANA: Final = "\uff10-\uff19\uff21-\uff3a\uff41-\uff5a\uff66-\uffdc"

UNSPACED: Final = _HAN_AND_KANA + _THAI_AND_LAO + _BURMESE_AND_KHMER
"""The letters that stand without spaces between words, for use within the brackets of a regular expression."""
MARKS: Final = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code))[0] == "M")
"""What stands above, below or beside the letter before it, such as vowel signs and tones; for use as above.

Python's `\\w` leaves it out, and so cuts words of Hindi or Thai in the middle.
"""

_MOST_MARKS: Final = 3
"""Of one letter; so the word that stands for two letters is shorter than 40 characters; no search engine cuts it."""
_CHARACTER: Final = re.compile(f"[{UNSPACED}{_HANGUL}][{MARKS}]{{0,{_MOST_MARKS}}}")
_RUN: Final = re.compile(f"(?:[{UNSPACED}{_HANGUL}][{MARKS}]*)+")
_HAS_RUNS: Final = re.compile(f"[{UNSPACED}{_HANGUL}{_WIDE_LATIN_AND_NARROW_KANA}]")
_WORD: Final = re.compile(f"[{UNSPACED}][{MARKS}]*|(?:[^\\W_{UNSPACED}][{MARKS}]*)+")
_LATIN: Final = "LATIN "


def searchable(text: str) -> str:
    """Return a text as it is given to a text search, as a document or as a query.

    Each run of Chinese, Japanese, Korean, Thai, Lao, Khmer or Burmese characters is replaced by its pairs of neighbours
    (a character that stands alone by itself), as Lucene's `CJKAnalyzer` does; a character is a letter with its marks.
    A pair is written as a word of ASCII letters and digits, its code points, because every search engine keeps such a
    word whole, while each cuts the characters themselves in its own way. Other parts of such a text are brought to
    their usual width (NFKC). A text without any such character stays exactly as it is.
    """
    if not _HAS_RUNS.search(text):
        return text
    return _RUN.sub(_pairs, unicodedata.normalize("NFKC", text))


def words(text: str) -> list[str]:
    """Return the words of a text as they stand: runs of letters and digits with their marks.

    A Chinese, Japanese, Thai, Lao, Khmer or Burmese character counts as a word of its own. Letters and their accents
    are composed first (NFC).
    """
    return _WORD.findall(unicodedata.normalize("NFC", text))


def is_mostly_latin(text: str) -> bool:
    """Return whether at least half of the words of a text begin with a Latin letter; also if none has a letter."""
    found = [word[0] for word in words(text) if word[0].isalpha()]
    latin = sum(first.isascii() or unicodedata.name(first, "").startswith(_LATIN) for first in found)
    return 2 * latin >= len(found)


def _pairs(run: re.Match[str]) -> str:
    characters = _CHARACTER.findall(run[0])
    firsts = range(max(1, len(characters) - 1))
    return f" {' '.join(_word(''.join(characters[first : first + 2])) for first in firsts)} "


def _word(characters: str) -> str:
    # An English stemmer takes no q off.
    return f"q{''.join(f'{ord(char):04x}' for char in characters)}q"
