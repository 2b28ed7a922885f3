"""Refused and unanswerable: which answers say that they do not know what indeed no document holds."""

from rageval.metrics.metric import DerivedMetric
from rageval.metrics.refused_answerable import refused_as_it_is

REFUSED_UNANSWERABLE = DerivedMetric(
    name="refused_unanswerable",
    version="1",
    title="Refused as unanswerable",
    description="share of the questions known to have no answer that are refused; more is better",
    standing="compared",
    of=False,
    compute=refused_as_it_is,
)
