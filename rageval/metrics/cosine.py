"""Two matrices of embeddings -> the cosine similarity of each pair of rows."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rageval.metrics.metric import Array, EmbeddingMetric

Matrix: TypeAlias = NDArray[np.floating[Any]]


def cosine_similarity(a: Matrix, b: Matrix) -> Array:
    r"""Return the cosine of the angle between each row of `a` and the same row of `b`.

    $$ \cos(a, b) = \frac{a \cdot b}{\lVert a \rVert \, \lVert b \rVert} $$

    Computed in float64 whatever the inputs are. Rows are scaled by their largest component first, so that
    neither huge nor tiny values overflow or vanish when squared. The quotient of parallel vectors can come out
    as 1.0000000000000002; such an excess, a few units in the last place, is cut to the bound that the cosine
    cannot exceed. Nothing else is clipped, and nothing is rounded.

    Args:
        a: Embeddings, shape `(n, d)`, any norm.
        b: Embeddings from the same model, shape `(n, d)`.

    Returns:
        Shape `(n,)`, float64, each in [-1, 1].

    Raises:
        ValueError: If the shapes differ, a value is not finite, or a row is all zeros:
            it has no angle, and 0.0 would be read as "unrelated".
    """
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.ndim != 2 or left.shape != right.shape:
        raise ValueError(f"expected two matrices of one shape (n, d), got {left.shape} and {right.shape}")
    products = np.einsum("ij,ij->i", _unit_rows(left, "a"), _unit_rows(right, "b"))
    bounded: Array = np.clip(products, -1.0, 1.0)
    return bounded


def _unit_rows(matrix: Array, name: str) -> Array:
    """Return the rows scaled to length 1."""
    largest = np.abs(matrix).max(axis=1, initial=0.0)
    if (bad := np.flatnonzero(~np.isfinite(largest))).size:
        raise ValueError(f"expected finite values, but row {bad[0]} of `{name}` holds NaN or infinity")
    if (bad := np.flatnonzero(largest == 0)).size:
        raise ValueError(f"row {bad[0]} of `{name}` is all zeros and has no direction; leave its text out")
    scaled = matrix / largest[:, None]
    unit: Array = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    return unit


COSINE = EmbeddingMetric(
    name="cosine",
    version="1",
    title="Cosine to the reference",
    description="cosine similarity of the embeddings of the answer and the reference",
    bounds=(-1.0, 1.0),
    standing="headline",
    default=True,
    needs=("answer", "reference"),
    compute=cosine_similarity,
)
