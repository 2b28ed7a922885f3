"""Refused though answerable: which answers say that they do not know what the documents hold."""

from rageval.metrics.metric import Array, DerivedMetric


def refused_as_it_is(refused: Array, verdict: Array, answerable: Array) -> Array:
    """Return the refusals: which questions they are counted of is the metric's `of`."""
    del verdict, answerable
    return refused


REFUSED_ANSWERABLE = DerivedMetric(
    name="refused_answerable",
    version="1",
    title="Refused though answerable",
    description="share of the questions known to be answerable that are refused; less is better",
    higher_is_better=False,
    standing="compared",
    of=True,
    compute=refused_as_it_is,
)
