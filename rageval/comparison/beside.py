"""Two runs -> cost, latency, tokens and lengths of their answers, to read beside the differences in quality."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rageval.comparison.measurements import Key, Measurement, Subject
from rageval.comparison.paired_values import RunPair
from rageval.comparison.pairing import Pair
from rageval.metrics.answer_words import ANSWER_WORDS
from rageval.metrics.measured import (
    ANSWER_LATENCY,
    CACHED_TOKENS,
    COMPLETION_TOKENS,
    COST,
    PROMPT_TOKENS,
    SEARCH_LATENCY,
)
from rageval.metrics.refusal import REFUSAL
from rageval.pages.formats import count, duration, number, usd


@dataclass(frozen=True, kw_only=True)
class _Figure:
    name: str
    metric: str
    middle: Callable[[NDArray[np.float64]], np.floating[Any]]
    words: Callable[[float | None], str]


_STATISTICS: Final = (
    _Figure(name="cost per answer", metric=COST.name, middle=np.mean, words=usd),
    _Figure(name="median latency", metric=ANSWER_LATENCY.name, middle=np.median, words=duration),
    _Figure(name="prompt tokens", metric=PROMPT_TOKENS.name, middle=np.mean, words=count),
    _Figure(name="cached tokens", metric=CACHED_TOKENS.name, middle=np.mean, words=count),
    _Figure(name="completion tokens", metric=COMPLETION_TOKENS.name, middle=np.mean, words=count),
    _Figure(name="words of an answer", metric=ANSWER_WORDS.name, middle=np.mean, words=count),
    _Figure(name="share of refusals", metric=REFUSAL.name, middle=np.mean, words=number),
    _Figure(name="median search latency", metric=SEARCH_LATENCY.name, middle=np.median, words=duration),
)


@dataclass(frozen=True, kw_only=True)
class StatisticPair:
    """One statistic of one system or retriever of each run; no test is made of it."""

    pair: Pair
    statistic: str
    a: float | None
    """Mean or median over the compared questions whose value is known; None where none is."""
    b: float | None
    in_a: str
    """The value in words, with how many are known where some are not."""
    in_b: str

    @property
    def ratio(self) -> float | None:
        """Candidate / baseline; None where either is unknown or the baseline's is 0."""
        return self.b / self.a if self.a and self.b is not None else None


def beside(found: RunPair) -> list[StatisticPair]:
    """Return the statistics of all pairs; one that neither run knows is left out.

    What an earlier run has answered has neither cost nor latency of its own, and does not count.
    """
    return [statistic for pair in found.pairs for statistic in _of_pair(pair, found)]


def _of_pair(pair: Pair, found: RunPair) -> Iterator[StatisticPair]:
    for statistic in _STATISTICS:
        values = [_values(side, one, statistic.metric, found.question_ids) for side, one in
                  ((found.of_a, pair.a), (found.of_b, pair.b))]  # fmt: skip
        if not any(side.size for side in values):
            continue
        a, b = (float(statistic.middle(side)) if side.size else None for side in values)
        words = [
            statistic.words(middle) + _known(side.size, len(found.question_ids))
            for middle, side in zip((a, b), values, strict=True)
        ]
        yield StatisticPair(pair=pair, statistic=statistic.name, a=a, b=b, in_a=words[0], in_b=words[1])


def _values(
    side: Mapping[Key, Measurement], subject: Subject, metric: str, question_ids: NDArray[np.object_]
) -> NDArray[np.float64]:
    measured = side.get((subject, metric))
    if measured is None:
        return np.empty(0)
    values: NDArray[np.float64] = measured.values.reindex(question_ids).to_numpy(dtype=np.float64)
    return values[np.isfinite(values)]


def _known(known: int, of: int) -> str:
    return "" if known in (0, of) else f" ({known:,} of {of:,} known)"
