r"""Truthfulness: an answer that is right counts for its system, a refusal not at all, and a wrong answer against it.

$$ t = \begin{cases} 1 & \text{nothing holds the answer, and it is refused} \\ -1 & \text{nothing holds the answer, and
there is one all the same} \\ 0 & \text{refused} \\ 2v - 1 & \text{otherwise, with the verdict } v \in [0, 1]
\end{cases} $$

An answer that is right in part counts 0: as much of it is right as wrong. Without refusals this is the score of CRAG
(Yang et al. 2024, arXiv:2406.04744), but for those: "acceptable" is 0.5 there.
"""

from typing import Final

import numpy as np

from rageval.metrics.correctness import CORRECTNESS
from rageval.metrics.metric import Array, DerivedMetric
from rageval.metrics.relevance import RELEVANCE

VERDICTS: Final = (CORRECTNESS.name, RELEVANCE.name)
"""What tells right from wrong: the first of these that an answer can be judged by."""


def truthfulness(refused: Array, verdict: Array, answerable: Array) -> Array:
    """Return the truthfulness of n answers.

    A refusal needs its verdict, too, though that changes nothing: a judge that fails would leave the refusals alone.

    Args:
        refused: Whether each answer is a refusal: 1, 0, or NaN where that is not known; shape `(n,)`.
        verdict: How right each is, in [0, 1], or NaN; shape `(n,)`.
        answerable: Whether the documents hold an answer: 1, 0, or NaN where that is not known; shape `(n,)`.

    Returns:
        Shape `(n,)`, each in [-1, 1], or NaN: `refused` is not known, or `verdict` where it counts.
    """
    of_answer = np.where(refused == 1, 0.0, 2 * verdict - 1)
    values = np.where(answerable == 0, 2 * refused - 1, np.where(np.isnan(verdict), np.nan, of_answer))
    return np.where(np.isnan(refused), np.nan, values)


TRUTHFULNESS = DerivedMetric(
    name="truthfulness",
    version="1",
    title="Truthfulness",
    description="right 1, refused 0, wrong -1; of a question that nothing answers, a refusal is right",
    bounds=(-1.0, 1.0),
    standing="compared",
    needs_verdict=True,
    compute=truthfulness,
)
