"""Answers and references -> whether they are the same, apart from how they are written."""

import re
import string
import unicodedata
from collections.abc import Sequence

from rageval.metrics.metric import Array, TextMetric
from rageval.metrics.text_pairs import compare_pairs
from rageval.text.scripts import UNSPACED

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_MARKS_OF_SENTENCES = "".join(char for char in map(chr, range(0x80, 0x10000)) if unicodedata.category(char)[0] == "P")
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation + _MARKS_OF_SENTENCES)}]+")
_UNSPACED = re.compile(f"([{UNSPACED}])")


def exact_match(answers: Sequence[str], references: Sequence[str]) -> Array:
    """Return whether each answer is the same as its reference, after the normalisation of SQuAD and MLQA.

    Lower case; punctuation of all scripts is dropped; the words a, an and the are dropped; white space is one blank,
    and means nothing beside characters of scripts without spaces. So it says something for every script; articles of
    other languages than English count. Sources: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension
    of Text" (2016), whose official script gives the same for ASCII texts; Lewis et al., "MLQA: Evaluating Cross-lingual
    Extractive Question Answering" (2020) for punctuation and spaces of other scripts.

    Args:
        answers: Texts, shape `(n,)`.
        references: Texts, shape `(n,)`.

    Returns:
        Shape `(n,)`, each 1 or 0. Two texts of which nothing is left are the same: 1.

    Raises:
        ValueError: If the lengths differ.
    """
    return compare_pairs(lambda answer, reference: float(answer == reference), _normalised, answers, references)


def _normalised(text: str) -> str:
    bare = _PUNCTUATION.sub("", unicodedata.normalize("NFC", text).lower())
    return " ".join(_ARTICLE.sub(" ", _UNSPACED.sub(r" \1 ", bare)).split())


EXACT_MATCH = TextMetric(
    name="exact_match",
    version="2",
    title="Exact match",
    description="the answer is the reference, apart from case, punctuation and spacing; any script",
    default=True,
    needs=("answer", "reference"),
    compute=exact_match,
)
