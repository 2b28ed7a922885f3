"""Answers and their references -> the values of a metric that asks no model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rageval.config.evaluation import IndexConfig
from rageval.judging.requests import ScorableAnswer
from rageval.metrics.metric import Array, EmbeddingMetric, Text, TextMetric
from rageval.runs.shortfalls import only_beginning_of
from rageval.search.embedder import load_embedder
from rageval.storage.places import Place

_Texts = dict[Text, list[str]]
"""Columns of n texts each."""


def computed(
    metric: TextMetric | EmbeddingMetric, candidates: Sequence[ScorableAnswer], index: IndexConfig, cache: Place
) -> list[dict[str, Any]]:
    """Return the columns of the metric's score of each answer; of several references, the best one counts.

    Args:
        metric: What is computed.
        candidates: Answers that are there, with everything that the metric needs.
        index: Names the embedding model.
        cache: Where embeddings are kept.

    Raises:
        ConfigError: If the embedding model cannot be loaded.
    """
    references = [c.question.references if "reference" in metric.needs else ("",) for c in candidates]
    texts: _Texts = {
        "answer": [c.answer or "" for c, known in zip(candidates, references, strict=True) for _ in known],
        "reference": [reference for known in references for reference in known],
    }
    values = _values(metric, texts, index, cache)
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


def _values(metric: TextMetric | EmbeddingMetric, texts: _Texts, index: IndexConfig, cache: Place) -> Array:
    columns = [texts[name] for name in metric.needs]
    if isinstance(metric, TextMetric):
        return metric.compute(*columns)
    n = len(columns[0])
    vectors = load_embedder(index.embedding_model, index.batch_size, cache).embed(
        [text for one in columns for text in one]
    )
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
