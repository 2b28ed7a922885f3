"""Faithfulness: a judge that sees the contexts says whether an answer keeps to them, whatever else is true."""

from rageval.metrics.metric import JudgeMetric

FAITHFULNESS = JudgeMetric(
    name="faithfulness",
    version="3",
    title="Faithfulness",
    description="a judge that sees the contexts: FAITHFUL 1, PARTLY_FAITHFUL 0.5, UNFAITHFUL 0",
    standing="compared",
    default_online=True,
    sees=("question", "contexts", "answer"),
    labels={"FAITHFUL": 1.0, "PARTLY_FAITHFUL": 0.5, "UNFAITHFUL": 0.0},
    good="FAITHFUL",
    instructions="""\
You grade whether a generated answer keeps to its contexts. What matters is what the contexts say, not what is true or \
what you know. The labels are:
FAITHFUL: the contexts support every statement of it, or it states nothing but that it does not know.
PARTLY_FAITHFUL: the contexts support a part of its statements, and not the rest.
UNFAITHFUL: the contexts support none of its statements, or it contradicts them.""",
)
