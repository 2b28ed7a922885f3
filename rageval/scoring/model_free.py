"""Answers and references -> the values of a metric that asks no model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rageval.config.evaluation import IndexConfig
from rageval.metrics.cosine import Array, cosine_similarity
from rageval.metrics.names import COSINE
from rageval.metrics.refusal import UNREAD, refusals
from rageval.metrics.text_match import answer_words, exact_match, fuzzy_match, rouge_l
from rageval.runs.shortfalls import only_beginning_of
from rageval.search.embedder import load_embedder
from rageval.storage.places import Place

_OF_TEXTS: Final[Mapping[str, Callable[[Sequence[str], Sequence[str]], Array]]] = {
    "rouge_l": rouge_l,
    "exact_match": exact_match,
    "fuzzy_match": fuzzy_match,
    "refusal": lambda answers, _: refusals(answers),
    "answer_words": lambda answers, _: answer_words(answers),
}


NO_VALUE: Final[Mapping[str, str]] = {"refusal": UNREAD}
"""Why a metric has no value for some texts, where it is NaN."""


def model_free_values(
    metric: str, answers: Sequence[str], references: Sequence[str], index: IndexConfig, cache: Place
) -> Array:
    """Return the metric of each answer.

    Args:
        metric: One of `score_plan.MODEL_FREE_VERSIONS`.
        answers: Texts, shape `(n,)`.
        references: The reference of each, shape `(n,)`.
        index: Names the embedding model of the cosine.
        cache: Where embeddings are kept.

    Returns:
        Shape `(n,)`, as the metric's own module says.

    Raises:
        KeyError: If there is no such metric.
        ConfigError: If the embedding model cannot be loaded.
    """
    if metric != COSINE:
        return _OF_TEXTS[metric](answers, references)
    vectors = load_embedder(index.embedding_model, index.batch_size, cache).embed([*answers, *references])
    return cosine_similarity(vectors[: len(answers)], vectors[len(answers) :])


def beginnings(
    metric: str, answers: Sequence[str], references: Sequence[str], index: IndexConfig, cache: Place
) -> list[str | None]:
    """Return for each answer what the metric has not read to its end, or None; arguments as for `model_free_values`."""
    if metric != COSINE:
        return [None] * len(answers)
    embedder = load_embedder(index.embedding_model, index.batch_size, cache)
    tokens = embedder.too_long([*answers, *references], "similarity")
    pairs = zip(tokens[: len(answers)], tokens[len(answers) :], strict=True)
    return [only_beginning_of(embedder.longest, *pair) for pair in pairs]
