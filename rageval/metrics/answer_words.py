"""Answers -> how many words each has."""

import re
from collections.abc import Sequence

import numpy as np

from rageval.metrics.metric import Array, TextMetric
from rageval.text.scripts import MARKS, UNSPACED

_COUNTED = re.compile(f"[{UNSPACED}][{MARKS}]*|[^\\s{UNSPACED}]+")


def answer_words(answers: Sequence[str]) -> Array:
    """Return how many words each answer has: parts between white space, punctuation included.

    In scripts without spaces (see `rouge_l.words_of`) each character counts, as word processors do for Chinese and
    Japanese. So compare lengths within a language only.

    Args:
        answers: Texts, shape `(n,)`.

    Returns:
        Shape `(n,)`, each a whole number of at least 0.
    """
    return np.array([len(_COUNTED.findall(answer)) for answer in answers], dtype=np.float64)


ANSWER_WORDS = TextMetric(
    name="answer_words",
    version="2",
    title="Words of the answer",
    description="words of the answer; characters where a script has no spaces",
    bounds=None,
    higher_is_better=None,
    default=True,
    needs=("answer",),
    compute=answer_words,
)
