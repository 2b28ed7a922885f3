"""Embedded questions -> topics: clusters of what is asked, each named by its most typical question."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

FEWEST_PER_TOPIC: Final = 10
"""Questions that a topic takes: with fewer than twice as many, no topics are made."""
_SEED: Final = 42
_STARTS: Final = 5

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A cluster of questions."""

    topic: str
    """Its version and its number, such as `2-7`."""
    title: str
    """The question nearest to the centre."""
    centre: Vectors
    """Unit vector, shape `(dimensions,)`."""


def make_topics(questions: Sequence[str], vectors: Vectors, *, count: int, version: str) -> list[Topic]:
    """Return topics of questions, the largest first: k-means on the unit sphere, with a fixed seed.

    A question that is asked a hundred times counts once, or it would be a topic of its own.

    Args:
        questions: What was asked.
        vectors: Their embeddings, rows of length 1, shape `(len(questions), dimensions)`.
        count: How many topics; fewer where there are less than ten different questions for each.
        version: What their ids begin with.

    Returns:
        At most `count` topics; none with fewer than twenty different questions.
    """
    first = {question: place for place, question in reversed(list(enumerate(questions)))}
    texts = sorted(first)
    count = min(count, len(texts) // FEWEST_PER_TOPIC)
    if count < 2:
        return []
    points = vectors[[first[text] for text in texts]]
    clusters = KMeans(count, n_init=_STARTS, random_state=_SEED).fit(points)
    centres = _unit(clusters.cluster_centers_.astype(np.float32))
    numbers = (points @ centres.T).argmax(axis=1)
    sizes = np.bincount(numbers, minlength=count)
    return [
        Topic(
            topic=f"{version}-{place}",
            title=texts[int((points @ centres[number]).argmax())],
            centre=centres[number],
        )
        for place, number in enumerate(np.argsort(-sizes, kind="stable"), start=1)
    ]


def nearest_topics(vectors: Vectors, topics: Sequence[Topic]) -> list[tuple[str, float]]:
    """Return the topic of each question and its cosine to that topic's centre, in [-1, 1].

    Args:
        vectors: Embeddings of questions, rows of length 1, shape `(n, dimensions)`.
        topics: At least one, made with the same embedding model.
    """
    cosines = vectors @ np.stack([topic.centre for topic in topics]).T
    best = cosines.argmax(axis=1)
    return [
        (topics[number].topic, float(np.clip(row[number], -1, 1))) for number, row in zip(best, cosines, strict=True)
    ]


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
