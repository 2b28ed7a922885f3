"""Pairwise: a judge that sees the answers of two models chooses the better one."""

from typing import Final

from rageval.metrics.metric import ChoiceMetric

_BEGINNING: Final = "You compare two generated answers to the same question. The better one "
_END: Final = """\
, with fewer errors; neither its length nor its place counts. The labels are:
FIRST: the answer called FIRST is better.
SECOND: the answer called SECOND is better.
TIE: both are as good, or both are as bad."""

PAIRWISE = ChoiceMetric(
    name="pairwise",
    version="3",
    title="Choices between two models",
    description="a judge prefers this model's answer: 1, a tie 0.5, the other's 0",
    labels={"FIRST": 1.0, "TIE": 0.5, "SECOND": 0.0},
    instructions=f"{_BEGINNING}says what the reference answer says{_END}",
    without_reference=f"{_BEGINNING}answers the question that was asked{_END}",
    unanswerable="Of this question it is known that nothing holds an answer. So the better answer is the one that says "
    "that it does not know, or that there is no answer.",
)
