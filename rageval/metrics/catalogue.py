"""All metrics, one line each, in the order in which they are shown; and what is asked about them by name.

A name is a metric's own (`cosine`), cut off at a rank (`ndcg@10`), or a detail of one (`pairwise[gpt-4o]`). Everything
here looks at `METRICS` when it is called, so a line in it is all that a new metric needs.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from rageval.metrics.answer_words import ANSWER_WORDS
from rageval.metrics.average_precision import MAP
from rageval.metrics.correctness import CORRECTNESS
from rageval.metrics.cosine import COSINE
from rageval.metrics.exact_match import EXACT_MATCH
from rageval.metrics.faithfulness import FAITHFULNESS
from rageval.metrics.fuzzy_match import FUZZY_MATCH
from rageval.metrics.hit_rate import HIT_RATE
from rageval.metrics.measured import (
    ANSWER_LATENCY,
    CACHED_TOKENS,
    COMPLETION_TOKENS,
    COST,
    PROMPT_TOKENS,
    SEARCH_LATENCY,
)
from rageval.metrics.metric import (
    Bounds,
    DerivedMetric,
    EmbeddingMetric,
    JudgeMetric,
    Metric,
    RetrievalMetric,
    ScoreMetric,
    TextMetric,
)
from rageval.metrics.mrr import MRR
from rageval.metrics.names import metric_of
from rageval.metrics.ndcg import NDCG
from rageval.metrics.pairwise import PAIRWISE
from rageval.metrics.precision import PRECISION
from rageval.metrics.recall import RECALL
from rageval.metrics.refusal import REFUSAL
from rageval.metrics.refused_answerable import REFUSED_ANSWERABLE
from rageval.metrics.refused_unanswerable import REFUSED_UNANSWERABLE
from rageval.metrics.relevance import RELEVANCE
from rageval.metrics.rouge_l import ROUGE_L
from rageval.metrics.toxicity import TOXICITY
from rageval.metrics.truthfulness import TRUTHFULNESS

METRICS: tuple[Metric, ...] = (
    CORRECTNESS,
    RELEVANCE,
    FAITHFULNESS,
    TOXICITY,
    COSINE,
    ROUGE_L,
    EXACT_MATCH,
    FUZZY_MATCH,
    REFUSAL,
    TRUTHFULNESS,
    REFUSED_ANSWERABLE,
    REFUSED_UNANSWERABLE,
    ANSWER_WORDS,
    PAIRWISE,
    HIT_RATE,
    MRR,
    RECALL,
    PRECISION,
    NDCG,
    MAP,
    SEARCH_LATENCY,
    ANSWER_LATENCY,
    PROMPT_TOKENS,
    CACHED_TOKENS,
    COMPLETION_TOKENS,
    COST,
)
_M = TypeVar("_M", bound=Metric)


def of_kind(kind: type[_M]) -> list[_M]:
    """Return the metrics of a kind, in their order."""
    return [metric for metric in METRICS if isinstance(metric, kind)]


def find(name: str) -> Metric | None:
    """Return the metric behind a name, or None if it is not known."""
    return next((metric for metric in METRICS if metric.name == metric_of(name)), None)


def bounds(name: str) -> Bounds | None:
    """Return the lowest and highest value of a metric, or None where it has no bounds or is not known."""
    return found.bounds if (found := find(name)) else None


def lowest(name: str) -> float | None:
    """Return the lowest value of a metric, 0 where it has no highest one, or None where it is not known."""
    if (found := find(name)) is None:
        return None
    return found.bounds[0] if found.bounds else 0.0


def higher_is_better(name: str) -> bool | None:
    """Return whether more of a metric is good; None if neither direction is, or the metric is not known."""
    return found.higher_is_better if (found := find(name)) else None


def description(name: str) -> str | None:
    """Return what a metric measures in one line, or None if it is not known."""
    return found.description if (found := find(name)) else None


def headline(kind: type[Metric] = Metric) -> list[str]:
    """Return the names of the metrics that lead, the first one first."""
    return [metric.name for metric in of_kind(kind) if metric.standing == "headline"]


def compared(kind: type[Metric] = Metric, *, several: bool = True) -> list[str]:
    """Return the names of the metrics that are compared unless others are named.

    Args:
        kind: Only those of this kind.
        several: Whether questions may have several right documents.
    """
    found = [metric for metric in of_kind(kind) if metric.standing != "listed"]
    return [m.name for m in found if several or not (isinstance(m, RetrievalMetric) and m.needs_several)]


def in_order(names: Iterable[str]) -> list[str]:
    """Return the distinct names: metrics of answers in their order, then all others as they come."""
    distinct = list(dict.fromkeys(names))
    scores = [m.name for m in METRICS if isinstance(m, ScoreMetric | DerivedMetric) and m.name in distinct]
    return [*scores, *(name for name in distinct if name not in scores)]


def computed(names: Iterable[str]) -> tuple[TextMetric | EmbeddingMetric, ...]:
    """Return those of the metrics that ask no model, in their order."""
    wanted = set(names)
    return tuple(m for m in METRICS if isinstance(m, TextMetric | EmbeddingMetric) and m.name in wanted)


def judged(names: Iterable[str]) -> tuple[JudgeMetric, ...]:
    """Return those of the metrics that judges are asked for, in their order."""
    wanted = set(names)
    return tuple(metric for metric in of_kind(JudgeMetric) if metric.name in wanted)


def online() -> tuple[JudgeMetric, ...]:
    """Return the metrics that conversations can be judged by."""
    return tuple(metric for metric in of_kind(JudgeMetric) if metric.is_online)


def choices() -> tuple[str, ...]:
    """Return the names of the metrics that a run can choose: those that an answer is scored by."""
    return tuple(metric.name for metric in of_kind(ScoreMetric))


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the metrics of a run, in their order; without any, of the default ones.

    Raises:
        ValueError: If a name is none of a metric that answers can have; the message lists them.
    """
    return _chosen(names, choices(), [metric.name for metric in of_kind(ScoreMetric) if metric.default])


def chosen_online(names: Sequence[str]) -> tuple[str, ...]:
    """Return the same for the metrics that conversations are judged by.

    Raises:
        ValueError: If a name is none of these; the message lists them.
    """
    return _chosen(
        names, [metric.name for metric in online()], [metric.name for metric in online() if metric.default_online]
    )


def _chosen(names: Sequence[str], known: Sequence[str], default: Sequence[str]) -> tuple[str, ...]:
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{', '.join(unknown)}: no such metric can be chosen; known are {', '.join(known)}")
    return tuple(name for name in known if name in (names or default))
