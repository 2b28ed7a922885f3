"""Retrieval metrics: by hand, and against ranx."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rageval.metrics.average_precision import average_precision
from rageval.metrics.grades import Values, first_relevant_rank
from rageval.metrics.hit_rate import hit
from rageval.metrics.mrr import reciprocal_rank
from rageval.metrics.ndcg import ndcg
from rageval.metrics.precision import precision
from rageval.metrics.recall import recall


def ranks_of(*ranks: int | None) -> Values:
    return np.array(ranks, dtype=np.float64)  # None becomes NaN


def test_the_first_right_document_counts() -> None:
    assert first_relevant_rank(["a", "b", "c"], {"c", "b"}) == 2
    assert first_relevant_rank(["a", "b"], {"z"}) is None
    assert first_relevant_rank([], {"a"}) is None
    assert first_relevant_rank(["a"], set()) is None


def test_a_repeated_document_takes_one_rank() -> None:
    assert first_relevant_rank(["a", "a", "b", "a", "c"], ["c"]) == 3


@pytest.mark.parametrize(
    ("rank", "k", "expected_hit", "expected_reciprocal"),
    [(1, 1, 1.0, 1.0), (2, 1, 0.0, 0.0), (4, 5, 1.0, 0.25), (5, 5, 1.0, 0.2), (6, 5, 0.0, 0.0), (None, 5, 0.0, 0.0)],
)
def test_only_ranks_up_to_k_count(rank: int | None, k: int, expected_hit: float, expected_reciprocal: float) -> None:
    assert hit(ranks_of(rank), k).tolist() == [expected_hit]
    assert reciprocal_rank(ranks_of(rank), k).tolist() == [expected_reciprocal]


@pytest.mark.parametrize("metric", [hit, reciprocal_rank])
def test_ranks_and_cut_offs_below_one_are_refused(metric: type) -> None:
    with pytest.raises(ValueError, match="k must be 1 or more, found 0"):
        metric(ranks_of(1), 0)
    with pytest.raises(ValueError, match="ranks count from 1, found 0"):
        metric(ranks_of(3, None, 0), 5)


@given(st.lists(st.none() | st.integers(1, 50)), st.integers(1, 50))
def test_a_deeper_cut_off_never_lowers_a_value(found: list[int | None], k: int) -> None:
    ranks = ranks_of(*found)
    assert (reciprocal_rank(ranks, k) <= hit(ranks, k)).all()
    for metric in (hit, reciprocal_rank):
        assert (metric(ranks, k) <= metric(ranks, k + 1)).all()


def test_means_agree_with_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numba's own
        # Compiling takes a minute, interpreting no time.
        monkeypatch.setattr("numba.config.DISABLE_JIT", True)
        from ranx import Qrels, Run, evaluate

        rng = np.random.default_rng(0)
        found = {f"q{n}": [f"d{i}" for i in rng.permutation(12)[: rng.integers(1, 9)]] for n in range(40)}
        right = {question: {f"d{i}" for i in rng.integers(0, 12, 2)} for question in found}
        run = Run({question: {d: 1 / (i + 1) for i, d in enumerate(docs)} for question, docs in found.items()})
        qrels = Qrels({question: dict.fromkeys(docs, 1) for question, docs in right.items()})
        theirs = evaluate(qrels, run, ["hit_rate@3", "mrr@3"])
    ranks = ranks_of(*(first_relevant_rank(found[question], right[question]) for question in found))
    assert hit(ranks, 3).mean() == pytest.approx(theirs["hit_rate@3"])
    assert reciprocal_rank(ranks, 3).mean() == pytest.approx(theirs["mrr@3"])
    assert 0 < theirs["mrr@3"] < theirs["hit_rate@3"] < 1


def table_of(rows: list[list[int]]) -> np.ndarray:
    """Grades as the metrics take them: rows of the same length, filled up with 0."""
    width = max(map(len, rows))
    return np.array([row + [0] * (width - len(row)) for row in rows])


def test_several_right_documents_and_grades_by_hand() -> None:
    # Ranks 1 to 5: nothing, grade 3, grade 1, nothing, grade 2; all three right documents are found by then.
    found, right = table_of([[0, 3, 1, 0, 2]]), table_of([[1, 3, 2]])
    assert recall(found, right, 3) == pytest.approx([2 / 3])
    assert precision(found, 3) == pytest.approx([2 / 3])
    assert average_precision(found, right, 3) == pytest.approx([(1 / 2 + 2 / 3) / 3])
    # DCG = 3/log2(3) + 1/log2(4); the best order is 3, 2, 1.
    best = 3 + 2 / np.log2(3) + 1 / 2
    assert ndcg(found, right, 3) == pytest.approx([(3 / np.log2(3) + 1 / 2) / best])
    assert recall(found, right, 5) == [1.0]
    assert precision(found, 10) == [0.3]  # of 10, although only 5 were found
    assert ndcg(table_of([[3, 2, 1]]), right, 10) == [1.0]


def test_with_one_right_document_the_metrics_say_what_its_rank_says() -> None:
    found = np.eye(6, dtype=np.int64)[:5] * 7  # rank 1 to 5, grade 7
    right = np.full((5, 1), 7)
    ranks = ranks_of(*range(1, 6))
    assert recall(found, right, 3).tolist() == hit(ranks, 3).tolist()
    assert average_precision(found, right, 3).tolist() == reciprocal_rank(ranks, 3).tolist()
    assert precision(found, 3).tolist() == (hit(ranks, 3) / 3).tolist()
    assert ndcg(found, right, 3) == pytest.approx(np.where(ranks <= 3, 1 / np.log2(ranks + 1), 0))


def test_a_question_without_a_right_document_and_unequal_rows_are_refused() -> None:
    found = np.zeros((2, 3))
    for metric in (recall, ndcg, average_precision):
        with pytest.raises(ValueError, match="question 1 has no right document"):
            metric(found, table_of([[1], [0]]), 3)
        with pytest.raises(ValueError, match=r"one row per question in both, got shapes \(2, 3\) and \(1, 1\)"):
            metric(found, table_of([[1]]), 3)
        with pytest.raises(ValueError, match="k must be 1 or more, found 0"):
            metric(found, table_of([[1], [1]]), 0)


@settings(max_examples=150)
@given(
    st.permutations(list(range(8))),
    st.integers(0, 8),
    st.dictionaries(st.integers(0, 11), st.integers(1, 10), min_size=1, max_size=12),
    st.integers(1, 12),
)
def test_every_metric_equals_that_of_ranx(order: list[int], length: int, grades: dict[int, int], k: int) -> None:
    docs = [f"d{i}" for i in order[:length]] or ["nothing"]
    named = {f"d{i}": grade for i, grade in grades.items()}
    theirs = of_ranx(docs, named, k)
    found, right = table_of([[named.get(doc, 0) for doc in docs]]), table_of([list(named.values())])
    rank = ranks_of(first_relevant_rank(docs, named))
    ours = {
        "recall": recall(found, right, k)[0],
        "precision": precision(found, k)[0],
        "ndcg": ndcg(found, right, k)[0],
        "map": average_precision(found, right, k)[0],
        "mrr": reciprocal_rank(rank, k)[0],
        "hit_rate": hit(rank, k)[0],
    }
    assert ours == pytest.approx(theirs, abs=1e-9)


def of_ranx(docs: list[str], grades: dict[str, int], k: int) -> dict[str, float]:
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("ignore")  # numba's own
        patch.setattr("numba.config.DISABLE_JIT", True)
        from ranx import Qrels, Run, evaluate

        run = Run({"q": {doc: 1 / (rank + 1) for rank, doc in enumerate(docs)}})
        names = ("recall", "precision", "ndcg", "map", "mrr", "hit_rate")
        found = evaluate(Qrels({"q": grades}), run, [f"{name}@{k}" for name in names])
    return {name: float(found[f"{name}@{k}"]) for name in names}
