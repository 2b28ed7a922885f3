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

Array: TypeAlias = NDArray[np.float64]
_T = TypeVar("_T")

_WORD = re.compile(r"[^\W_]+")
_ARTICLE = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = re.compile(f"[{re.escape(string.punctuation)}]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text: runs of letters and digits of any script, in lower case.

    ASCII texts are cut exactly as the package `rouge-score` cuts them without stemming, `[a-z0-9]+`. That package drops
    every other letter, so a Greek text has no words there. Here it has; letters and their accents are composed first
    (NFC). A script without spaces, such as Chinese, gives one word per run, so ROUGE-L says little about it.
    """
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def rouge_l(answers: Sequence[str], references: Sequence[str]) -> Array:
    r"""Return the ROUGE-L F1 of each answer with the same reference.

    With the longest common subsequence of both word lists, precision is its share of the answer's words and recall
    its share of the reference's:

    $$ F_1 = \frac{2 P R}{P + R} = \frac{2\, \mathrm{LCS}(a, r)}{|a| + |r|} $$

    Source: Lin, "ROUGE: A Package for Automatic Evaluation of Summaries" (2004), with beta = 1 as in `rouge-score`.
    The whole text is one sequence (rougeL, not rougeLsum).

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
    """Return whether each answer is the same as its reference, after the normalisation of SQuAD.

    Lower case; ASCII punctuation is dropped; the words a, an and the are dropped; white space is one blank. Source:
    Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text" (2016), the official script.

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

    This is one minus the normalised Indel distance, `rapidfuzz.fuzz.ratio` / 100. Unrelated English texts get 0.3 or
    0.4, since they share letters: read it for differences, not for its height.

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

    Args:
        answers: Texts, shape `(n,)`.

    Returns:
        Shape `(n,)`, each a whole number of at least 0.
    """
    return np.array([len(answer.split()) for answer in answers], dtype=np.float64)


def _rouge_l(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return 0.0
    return 2 * LCSseq.similarity(answer, reference) / (len(answer) + len(reference))


def _normalised(text: str) -> str:
    return " ".join(_ARTICLE.sub(" ", _PUNCTUATION.sub("", text.lower())).split())


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
