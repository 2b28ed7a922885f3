"""What is right as a text -> whether a passage holds it, whatever chunks the documents are cut into."""

import re
from collections import Counter
from functools import lru_cache

from rageval.text.scripts import words

MIN_SHARE = 0.5
_SPACES = re.compile(r"\s+")


def holds_relevant(passage: str, right_text: str, min_share: float = MIN_SHARE) -> bool:
    """Return whether a passage is right: it holds a right text, or enough of its tokens.

    White space and case make no difference. Tokens are words as in ROUGE-L, see `rageval.text.scripts.words`: runs of
    letters and digits, and each character of scripts without spaces, such as Chinese. A token that stands twice in the
    right text counts twice where the passage has it twice; their order does not count.

    Args:
        passage: What was retrieved.
        right_text: What a right passage holds.
        min_share: Share of the right text's tokens that suffices, above 0 and at most 1.

    Returns:
        Never true for a right text without any tokens, unless the passage holds it as it is and it is not empty.

    Raises:
        ValueError: If the share is out of range.
    """
    if not 0 < min_share <= 1:
        raise ValueError(f"min_share is {min_share}, expected more than 0 and at most 1")
    right, found = _plain(right_text), _plain(passage)
    return bool(right) and (right in found or shared_tokens(passage, right_text) >= min_share)


def shared_tokens(passage: str, right_text: str) -> float:
    """Return the share of a right text's tokens that a passage has, in [0, 1]; 0 where the right text has none."""
    right = _tokens(right_text)
    return (right & _tokens(passage)).total() / right.total() if right else 0.0


def _plain(text: str) -> str:
    return _SPACES.sub(" ", text).strip().casefold()


@lru_cache(maxsize=4096)
def _tokens(text: str) -> Counter[str]:
    return Counter(words(text.casefold()))
