"""Answers and their references -> the values of a metric that asks no model."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from rageval.config.evaluation import IndexConfig
from rageval.embedding.embedder import load_embedder
from rageval.errors import RagevalError
from rageval.judging.requests import ScorableAnswer
from rageval.metrics.metric import Array, EmbeddingMetric, Metric, Text, TextMetric
from rageval.runs.shortfalls import only_beginning_of
from rageval.storage.places import Place

_log = logging.getLogger(__name__)
_SLICE: Final = 512
"""Texts embedded between two looks at whether the run has ended: a few seconds of work."""
_LONGEST_REASON: Final = 300
_Texts = dict[Text, list[str]]
"""Columns of n texts each."""


def computed(
    metric: TextMetric | EmbeddingMetric,
    candidates: Sequence[ScorableAnswer],
    index: IndexConfig,
    cache: Place,
    *,
    look: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Return the columns of the metric's score of each answer; of several references, the best one counts.

    An answer of which the metric breaks has failed, with the error; the others have their values.

    Args:
        metric: What is computed.
        candidates: Answers that are there, with everything that the metric needs; at least one.
        index: Names the embedding model.
        cache: Where embeddings are kept.
        look: Called now and then; raises what ends the work, if anything does.

    Raises:
        ConfigError: If the embedding model cannot be loaded.
    """
    look()
    try:
        return _computed(metric, candidates, index, cache, look)
    except RagevalError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a metric raises is about the texts, and becomes a row
        if len(candidates) == 1:
            _log.warning("%s has failed on an answer", metric.name, exc_info=True)
            return [{"status": "failed", "value": None, "error": _reason(metric, error)}]
    half = len(candidates) // 2
    parts = (candidates[:half], candidates[half:])
    return [columns for part in parts for columns in computed(metric, part, index, cache, look=look)]


def _reason(metric: Metric, error: Exception) -> str:
    said = " ".join(str(error).split())[:_LONGEST_REASON]
    return f"{metric.name} ended with {type(error).__name__}: {said}"


def _computed(
    metric: TextMetric | EmbeddingMetric, candidates: Sequence[ScorableAnswer], index: IndexConfig, cache: Place,
    look: Callable[[], None],
) -> list[dict[str, Any]]:  # fmt: skip
    references = [c.question.references if "reference" in metric.needs else ("",) for c in candidates]
    texts: _Texts = {
        "answer": [c.answer or "" for c, known in zip(candidates, references, strict=True) for _ in known],
        "reference": [reference for known in references for reference in known],
    }
    values = _values(metric, texts, index, cache, look)
    notes = _beginnings(metric, texts, index, cache)
    columns: list[dict[str, Any]] = []
    start = 0
    for known in references:
        of_one = values[start : start + len(known)]
        if np.isnan(of_one).all():
            undefined = metric.undefined if isinstance(metric, TextMetric) else ""
            columns.append({"status": "unscored", "value": None, "error": undefined})
        else:
            best = int(np.nanargmin(of_one) if metric.higher_is_better is False else np.nanargmax(of_one))
            columns.append({"status": "ok", "value": float(of_one[best]), "reason": notes[start + best]})
        start += len(known)
    return columns


def _values(
    metric: TextMetric | EmbeddingMetric, texts: _Texts, index: IndexConfig, cache: Place, look: Callable[[], None]
) -> Array:
    columns = [texts[name] for name in metric.needs]
    if isinstance(metric, TextMetric):
        return metric.compute(*columns)
    n = len(columns[0])
    embedder = load_embedder(index.embedding_model, index.batch_size, cache)
    # By length, so that those embedded together need little padding, and in slices, so that a stop is not waited for.
    distinct = sorted({text for one in columns for text in one}, key=len)
    for start in range(0, len(distinct), _SLICE):
        look()
        embedder.embed(distinct[start : start + _SLICE])
    vectors = embedder.embed([text for one in columns for text in one])
    return metric.compute(*(vectors[start : start + n] for start in range(0, len(columns) * n, n)))


def _beginnings(
    metric: TextMetric | EmbeddingMetric, texts: _Texts, index: IndexConfig, cache: Place
) -> list[str | None]:
    """Return for each pair of texts what the metric has not read to its end, or None."""
    answers, references = texts["answer"], texts["reference"]
    if isinstance(metric, TextMetric):
        return [None] * len(answers)
    embedder = load_embedder(index.embedding_model, index.batch_size, cache)
    tokens = embedder.too_long([*answers, *references], "similarity")
    pairs = zip(tokens[: len(answers)], tokens[len(answers) :], strict=True)
    return [only_beginning_of(embedder.longest, *pair) for pair in pairs]
