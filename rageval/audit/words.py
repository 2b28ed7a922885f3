"""A text -> its words, and the forms in which two texts count as the same."""

import re
import unicodedata

from rageval.text.scripts import MARKS, UNSPACED

# In scripts without spaces each character counts as a word.
_WORD = re.compile(rf"[{UNSPACED}][{MARKS}]*|(?:[^\W{UNSPACED}][{MARKS}]*)+")
_URL = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)


def words(text: str) -> list[str]:
    """Return the words of a text in lower case: runs of letters, digits and underscores.

    A character of a script without spaces, such as Chinese or Thai, is a word of its own. The empty list if there are
    none.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def without_urls(text: str) -> str:
    """Return the text without its web addresses."""
    return _URL.sub(" ", text)


def same_text_key(text: str) -> str:
    """Return the text with every run of white space as one blank: equal for texts that read the same."""
    return " ".join(text.split())


def same_question_key(text: str) -> str:
    """Return what is equal for questions that differ only in case, white space, width or their last marks."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(" ?!.…")
