"""Answers and references -> how long a sequence of words they share."""

from collections.abc import Sequence

from rapidfuzz.distance import LCSseq

from rageval.metrics.metric import Array, TextMetric
from rageval.metrics.text_pairs import compare_pairs
from rageval.text.scripts import words


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
    return compare_pairs(_rouge_l, words_of, answers, references)


def _rouge_l(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return 0.0
    return 2 * LCSseq.similarity(answer, reference) / (len(answer) + len(reference))


ROUGE_L = TextMetric(
    name="rouge_l",
    version="2",
    title="ROUGE-L",
    description="longest common subsequence of words of answer and reference, F1; any script, in those without spaces "
    "(Chinese, Japanese, Thai, ...) each character is a word",
    default=True,
    needs=("answer", "reference"),
    compute=rouge_l,
)
