"""Correctness: a judge that sees the reference says whether an answer says the same."""

from typing import Final

from rageval.metrics.metric import JudgeMetric

ANSWER_LABELS: Final = {"RELEVANT": 1.0, "PARTLY_RELEVANT": 0.5, "NON_RELEVANT": 0.0}
"""The labels that people give to answers, too."""
ANSWER_LABELS_MEAN: Final = """\
The labels are:
RELEVANT: it answers what was asked, and nothing in it is wrong.
PARTLY_RELEVANT: it answers part of what was asked, or mixes right with wrong.
NON_RELEVANT: it answers something else, is wrong, or does not answer."""
UNANSWERABLE: Final = """\
Of this question it is known that nothing holds an answer. So an answer is RELEVANT if it says that it does not know \
or that there is no answer, PARTLY_RELEVANT if it says so and then answers all the same, and NON_RELEVANT otherwise."""
"""What people give these labels for where nothing holds an answer."""

CORRECTNESS = JudgeMetric(
    name="correctness",
    version="3",
    title="Correctness",
    description="a judge that sees the reference: RELEVANT 1, PARTLY_RELEVANT 0.5, NON_RELEVANT 0",
    standing="headline",
    default=True,
    sees=("question", "reference", "answer"),
    labels=ANSWER_LABELS,
    good="RELEVANT",
    unanswerable=UNANSWERABLE,
    instructions="You grade how well a generated answer says what the reference answer to the same question says. "
    + ANSWER_LABELS_MEAN,
)
