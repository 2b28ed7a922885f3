"""Cosine similarity against hand arithmetic, sentence-transformers and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cosine as scipy_distance

from rageval.metrics.cosine import cosine_similarity

pairs = st.tuples(st.integers(1, 4), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(*(arrays(np.float64, shape, elements=st.floats(-1e300, 1e300)) for _ in range(2)))
)


def test_angles_of_known_vectors_come_out_as_their_cosines():
    a = np.array([[1.0, 0.0], [1.0, 0.0], [2.0, 0.0], [1.0, 1.0], [3.0, 4.0]])
    b = np.array([[5.0, 0.0], [0.0, 7.0], [-1.0, 0.0], [1.0, 0.0], [4.0, 3.0]])
    # 0 degrees, 90, 180, 45, and (3*4 + 4*3) / (5 * 5) = 24/25.
    assert cosine_similarity(a, b) == pytest.approx([1.0, 0.0, -1.0, 0.5**0.5, 0.96], abs=1e-15)


def test_it_agrees_with_scipy_and_sentence_transformers():
    from sentence_transformers.util import pairwise_cos_sim

    random = np.random.default_rng(7)
    a, b = (random.normal(size=(50, 384)).astype(np.float32) for _ in range(2))
    ours = cosine_similarity(a, b)
    wide = [1 - scipy_distance(x, y) for x, y in zip(a.astype(np.float64), b.astype(np.float64), strict=True)]
    assert ours == pytest.approx(wide, abs=1e-14)
    assert ours == pytest.approx(pairwise_cos_sim(a, b).numpy(), abs=1e-6)  # theirs is float32


def test_the_arithmetic_is_float64_whatever_the_inputs_are():
    a, b = np.array([[1, 2, 3]], np.float16), np.array([[3, 2, 1]], np.float16)
    result = cosine_similarity(a, b)
    assert result.dtype == np.float64
    assert result[0] == pytest.approx(10 / 14, abs=1e-15)  # (3 + 4 + 3) / sqrt(14 * 14)


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e200, 1e308])
def test_tiny_and_huge_vectors_keep_their_angle(scale):
    a, b = np.array([[1.0, 1.0]]) * scale, np.array([[1.0, 0.0]])
    assert cosine_similarity(a, b)[0] == pytest.approx(0.5**0.5, abs=1e-15)


@given(pairs)
def test_every_cosine_is_within_its_range(pair):
    a, b = pair
    usable = (a.any(axis=1)) & (b.any(axis=1))
    result = cosine_similarity(a[usable], b[usable])
    assert ((result >= -1) & (result <= 1)).all()
    assert cosine_similarity(a[usable], a[usable]) == pytest.approx(np.ones(usable.sum()), abs=1e-12)


def test_no_rows_give_no_values():
    assert cosine_similarity(np.empty((0, 3)), np.empty((0, 3))).shape == (0,)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), r"one shape \(n, d\), got \(2, 3\) and \(2, 4\)"),
        (np.ones(3), np.ones(3), "two matrices"),
        (np.array([[1.0], [np.nan]]), np.ones((2, 1)), "row 1 of `a` holds NaN"),
        (np.ones((1, 2)), np.array([[1.0, -np.inf]]), "row 0 of `b` holds NaN or infinity"),
        (np.ones((2, 2)), np.array([[1.0, 0.0], [0.0, 0.0]]), "row 1 of `b` is all zeros"),
        (np.ones((1, 0)), np.ones((1, 0)), "all zeros"),
    ],
)
def test_vectors_without_an_angle_are_refused(a, b, message):
    with pytest.raises(ValueError, match=message):
        cosine_similarity(a, b)
