"""Relevance: a judge that sees question and answer alone says whether the one answers the other."""

from rageval.metrics.correctness import ANSWER_LABELS, ANSWER_LABELS_MEAN, UNANSWERABLE
from rageval.metrics.metric import JudgeMetric

RELEVANCE = JudgeMetric(
    name="relevance",
    version="3",
    title="Relevance",
    description="a judge that sees only question and answer: RELEVANT 1, PARTLY_RELEVANT 0.5, NON_RELEVANT 0",
    standing="compared",
    default=True,
    default_online=True,
    sees=("question", "answer"),
    labels=ANSWER_LABELS,
    good="RELEVANT",
    unanswerable=UNANSWERABLE,
    instructions="You grade how well a generated answer answers the question that was asked. " + ANSWER_LABELS_MEAN,
)
