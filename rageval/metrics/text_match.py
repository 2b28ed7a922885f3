"""Answers and references -> how far their words and characters agree, and how long the answers are.

None of these metrics asks a model. All take whole columns, and 100,000 answers take a few seconds.
"""

import re
import string
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Indel, LCSseq

from rageval.text.scripts import MARKS, UNSPACED, words

Array: TypeAlias = NDArray[np.float64]
_T = TypeVar("_T")

_ARTICLE = re.compile(r"\b(a|an|the)\b")
_MARKS_OF_SENTENCES = "".join(char for char in map(chr, range(0x80, 0x10000)) if unicodedata.category(char)[0] == "P")
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation + _MARKS_OF_SENTENCES)}]+")
_UNSPACED = re.compile(f"([{UNSPACED}])")
_COUNTED = re.compile(f"[{UNSPACED}][{MARKS}]*|[^\\s{UNSPACED}]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits of any script, in lower case.

    ASCII texts are cut exactly as the package `rouge-score` cuts them without stemming, `[a-z0-9]+`. That package drops
    every other letter, so a Greek text has no words there. Here it has, see `scripts.words`: in Chinese, Japanese,
    Thai, Lao, Khmer and Burmese, which have no spaces, each character is one, as usual for ROUGE of Chinese (Hu et
    al., "LCSTS: A Large Scale Chinese Short Text Summarization Dataset", 2015).
    """
    return words(text.lower())


def rouge_l(answers: Sequence[str], references: Sequence[str]) -> Array:
    r"""Return the ROUGE-L F1 of each answer with the same reference.

    With the longest common subsequence of both word lists, precision is its share of the answer's words and recall
    its share of the reference's:

    $$ F_1 = \frac{2 P R}{P + R} = \frac{2\, \mathrm{LCS}(a, r)}{|a| + |r|} $$

    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), with beta = 1 as in `rouge-score`.
    The whole text is one sequence (rougeL, not rougeLsum).

    It says something for every script, but values of two scripts cannot be compared: where a character is a word (see
    `words_of`), unrelated texts share some; where endings hang on the words, as in Korean or Finnish, related texts
    share few.

    Args:
        answers: Texts, shape `(n,)`.
        references: Texts, shape `(n,)`.

    Returns:
        Shape `(n,)`, each in [0, 1]. 0 where either text has no words, see `words_of`.

    Raises:
        ValueError: If the lengths differ.
    """
    return _pairwise(_rouge_l, words_of, answers, references)


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
    return _pairwise(lambda answer, reference: float(answer == reference), _normalised, answers, references)


def fuzzy_match(answers: Sequence[str], references: Sequence[str]) -> Array:
    r"""Return how similar the characters of each answer and its reference are, in their order.

    With the longest common subsequence of the characters, in lower case and with one blank for any white space:

    $$ \frac{2\, \mathrm{LCS}(a, r)}{|a| + |r|} $$

    This is one minus the normalised Indel distance, `rapidfuzz.fuzz.ratio` / 100. It says something for every script,
    but unrelated English texts get 0.3 or 0.4, since they share letters, and unrelated Chinese ones hardly anything:
    read it for differences, not for its height.

    Args:
        answers: Texts, shape `(n,)`.
        references: Texts, shape `(n,)`.

    Returns:
        Shape `(n,)`, each in [0, 1]. Two empty texts are the same: 1.

    Raises:
        ValueError: If the lengths differ.
    """
    return _pairwise(Indel.normalized_similarity, _one_line, answers, references)


def answer_words(answers: Sequence[str]) -> Array:
    """Return how many words each answer has: parts between white space, punctuation included.

    In scripts without spaces (see `words_of`) each character counts, as word processors do for Chinese and Japanese. So
    compare lengths within a language only.

    Args:
        answers: Texts, shape `(n,)`.

    Returns:
        Shape `(n,)`, each a whole number of at least 0.
    """
    return np.array([len(_COUNTED.findall(answer)) for answer in answers], dtype=np.float64)


def _rouge_l(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return 0.0
    return 2 * LCSseq.similarity(answer, reference) / (len(answer) + len(reference))


def _normalised(text: str) -> str:
    bare = _PUNCTUATION.sub("", unicodedata.normalize("NFC", text).lower())
    return " ".join(_ARTICLE.sub(" ", _UNSPACED.sub(r" \1 ", bare)).split())


def _one_line(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


def _pairwise(
    compare: Callable[[_T, _T], float], prepare: Callable[[str], _T], answers: Sequence[str], references: Sequence[str]
) -> Array:
    """Compare pairs of texts; one reference belongs to many answers, and is prepared once."""
    if len(answers) != len(references):
        raise ValueError(f"expected a reference for each answer, got {len(references)} for {len(answers)} answers")
    prepared: Mapping[str, _T] = {text: prepare(text) for text in set(references)}
    return np.array(
        [compare(prepare(a), prepared[r]) for a, r in zip(answers, references, strict=True)], dtype=np.float64
    )
