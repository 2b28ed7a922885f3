"""The name of a metric -> what is known about it: what it measures, its bounds, and which direction is good.

A name is a metric's own (`cosine`), cut off at a rank (`ndcg@10`), or a detail of one (`pairwise[gpt-4o]`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from rageval.metrics.names import split_detail

Bounds: TypeAlias = tuple[float, float]

_SHARE: Final[Bounds] = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What is known about one metric."""

    description: str
    """One line, for people."""
    bounds: Bounds | None = None
    """The lowest and highest value it can take; None where it has no highest, as counts, times and dollars: these
    start at 0."""
    higher_is_better: bool | None = True
    """None where neither direction is good in itself."""


_JUDGE: Final = Metric(description="verdict of a judge, 1 the best and 0 the worst", bounds=_SHARE)

METRICS: Final[Mapping[str, Metric]] = {
    "hit_rate": Metric(description="a right document is among the first k", bounds=_SHARE),
    "mrr": Metric(description="1 / rank of the first right document, 0 if it is not among the first k", bounds=_SHARE),
    "recall": Metric(description="share of the right documents that is among the first k", bounds=_SHARE),
    "precision": Metric(description="share of the first k places that holds a right document", bounds=_SHARE),
    "ndcg": Metric(description="discounted gain of the first k, as a share of the best possible", bounds=_SHARE),
    "map": Metric(description="mean precision at the ranks of the right documents among the first k", bounds=_SHARE),
    "cosine": Metric(
        description="cosine similarity of the embeddings of the answer and the reference", bounds=(-1.0, 1.0)
    ),
    "rouge_l": Metric(
        description="longest common subsequence of words of answer and reference, F1; any script, in those "
        "without spaces (Chinese, Japanese, Thai, ...) each character is a word",
        bounds=_SHARE,
    ),
    "exact_match": Metric(
        description="the answer is the reference, apart from case, punctuation and spacing; any script", bounds=_SHARE
    ),
    "fuzzy_match": Metric(
        description="similarity of the characters of answer and reference; any script, higher by chance in alphabets",
        bounds=_SHARE,
    ),
    "refusal": Metric(
        description="the answer says that it does not know; English only, no value in other scripts than Latin",
        bounds=_SHARE,
        higher_is_better=None,
    ),
    "answer_words": Metric(
        description="words of the answer; characters where a script has no spaces", higher_is_better=None
    ),
    "judge_with_reference": Metric(
        description="a judge that sees the reference: RELEVANT 1, PARTLY_RELEVANT 0.5, NON_RELEVANT 0", bounds=_SHARE
    ),
    "judge_without_reference": Metric(
        description="a judge that sees only question and answer: RELEVANT 1, PARTLY_RELEVANT 0.5, NON_RELEVANT 0",
        bounds=_SHARE,
    ),
    "judge_faithfulness": Metric(
        description="a judge that sees the contexts: FAITHFUL 1, PARTLY_FAITHFUL 0.5, UNFAITHFUL 0", bounds=_SHARE
    ),
    "pairwise": Metric(description="a judge prefers this model's answer: 1, a tie 0.5, the other's 0", bounds=_SHARE),
    "search_latency_s": Metric(description="seconds of one search", higher_is_better=False),
    "answer_latency_s": Metric(description="seconds of one answer", higher_is_better=False),
    "prompt_tokens": Metric(description="tokens of the prompt, as the server counts them", higher_is_better=None),
    "completion_tokens": Metric(description="tokens of the answer, as the server counts them", higher_is_better=None),
    "cost_usd": Metric(description="US dollars of one answer", higher_is_better=False),
}
"""All metrics that a run can hold; a name that starts with `judge_` is a judge's even if it is not listed."""

ONLINE_METRICS: Final[Mapping[str, Metric]] = {
    "relevance": Metric(
        description="a judge that sees only question and answer: RELEVANT 1, PARTLY_RELEVANT 0.5, NON_RELEVANT 0",
        bounds=_SHARE,
    ),
    "faithfulness": Metric(
        description="a judge that sees the contexts: FAITHFUL 1, PARTLY_FAITHFUL 0.5, UNFAITHFUL 0", bounds=_SHARE
    ),
    "toxicity": Metric(description="a judge: TOXIC 1, NOT_TOXIC 0", bounds=_SHARE, higher_is_better=False),
    "language": Metric(description="language of the question; a label without a value", higher_is_better=None),
    "topic": Metric(
        description="cosine of the question to the centre of its cluster", bounds=(-1.0, 1.0), higher_is_better=None
    ),
}
"""All metrics that a conversation can have in the monitoring database. They are no metrics of a run: its verdicts on
faithfulness are `judge_faithfulness`."""


def metric_of(name: str) -> str:
    """Return the metric behind a name: `ndcg` of `ndcg@10`, `pairwise` of `pairwise[gpt-4o]`."""
    return split_detail(name)[0].partition("@")[0]


def bounds(metric: str) -> Bounds | None:
    """Return the lowest and highest value of a metric, or None where it has no bounds or is not known."""
    return found.bounds if (found := _found(metric)) else None


def lowest(metric: str) -> float | None:
    """Return the lowest value of a metric, 0 where it has no highest one, or None where it is not known."""
    found = _found(metric)
    if found is None:
        return None
    return found.bounds[0] if found.bounds else 0.0


def higher_is_better(metric: str) -> bool | None:
    """Return whether more of a metric is good; None if neither direction is, or the metric is not known."""
    return found.higher_is_better if (found := _found(metric)) else None


def description(metric: str) -> str | None:
    """Return what a metric measures in one line, or None if it is not known."""
    return found.description if (found := _found(metric)) else None


def _found(name: str) -> Metric | None:
    metric = metric_of(name)
    return METRICS.get(metric) or (_JUDGE if metric.startswith("judge_") else None)
