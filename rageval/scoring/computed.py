"""Texts of answers and references -> the values of a metric that asks no model."""

from collections.abc import Mapping, Sequence

from rageval.config.evaluation import IndexConfig
from rageval.metrics.metric import Array, EmbeddingMetric, Text, TextMetric
from rageval.runs.shortfalls import only_beginning_of
from rageval.search.embedder import load_embedder
from rageval.storage.places import Place

Texts = Mapping[Text, Sequence[str]]
"""Columns of n texts each."""


def computed_values(metric: TextMetric | EmbeddingMetric, texts: Texts, index: IndexConfig, cache: Place) -> Array:
    """Return the metric of each answer.

    Args:
        metric: What is computed.
        texts: At least what the metric needs.
        index: Names the embedding model.
        cache: Where embeddings are kept.

    Returns:
        Shape `(n,)`, as the metric's own module says.

    Raises:
        ConfigError: If the embedding model cannot be loaded.
    """
    columns = [texts[name] for name in metric.needs]
    if isinstance(metric, TextMetric):
        return metric.compute(*columns)
    n = len(columns[0])
    vectors = load_embedder(index.embedding_model, index.batch_size, cache).embed(
        [text for one in columns for text in one]
    )
    return metric.compute(*(vectors[start : start + n] for start in range(0, len(columns) * n, n)))


def beginnings(
    metric: TextMetric | EmbeddingMetric, texts: Texts, index: IndexConfig, cache: Place
) -> list[str | None]:
    """Return for each answer what the metric has not read to its end, or None; arguments as for `computed_values`."""
    answers, references = texts["answer"], texts["reference"]
    if isinstance(metric, TextMetric):
        return [None] * len(answers)
    embedder = load_embedder(index.embedding_model, index.batch_size, cache)
    tokens = embedder.too_long([*answers, *references], "similarity")
    pairs = zip(tokens[: len(answers)], tokens[len(answers) :], strict=True)
    return [only_beginning_of(embedder.longest, *pair) for pair in pairs]
