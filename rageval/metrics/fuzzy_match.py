"""Answers and references -> how similar their characters are."""

import unicodedata
from collections.abc import Sequence

from rapidfuzz.distance import Indel

from rageval.metrics.metric import Array, TextMetric
from rageval.metrics.text_pairs import compare_pairs


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
    return compare_pairs(Indel.normalized_similarity, _one_line, answers, references)


def _one_line(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).lower().split())


FUZZY_MATCH = TextMetric(
    name="fuzzy_match",
    version="1",
    title="Fuzzy match",
    description="similarity of the characters of answer and reference; any script, higher by chance in alphabets",
    default=True,
    needs=("answer", "reference"),
    compute=fuzzy_match,
)
