"""Retrieval metrics of whole tables: against one question at a time, with grades, and for 100,000 questions."""

import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rageval.comparison.retrieval_values import retrieval_values
from rageval.metrics.average_precision import average_precision
from rageval.metrics.grades import first_relevant_rank
from rageval.metrics.hit_rate import hit
from rageval.metrics.mrr import reciprocal_rank
from rageval.metrics.ndcg import ndcg
from rageval.metrics.precision import precision
from rageval.metrics.recall import recall
from rageval.tables import QUESTIONS, RETRIEVAL
from tests.made_runs import question_row


def tables(cases, accept_alternates=True):
    """Questions and rows of the retrieval table; a case is (grades by document, own one first; documents found)."""
    questions, rows = [], []
    for number, (grades, found) in enumerate(cases):
        own, *others = grades
        questions.append(
            question_row(f"q{number}", own, relevant_grades=[grades[own]])
            | {"alternate_ids": others, "alternate_grades": [grades[other] for other in others]}
        )
        rank = first_relevant_rank(found, set(grades) if accept_alternates else {own})
        rows.append(
            {"question_id": f"q{number}", "retriever": "text", "document_ids": found, "scores": []}
            | {"first_relevant_rank": rank, "latency_s": 0.0}
        )
    return pa.Table.from_pylist(questions, schema=QUESTIONS), pa.Table.from_pylist(rows, schema=RETRIEVAL)


def one_by_one(grades, found, k):
    at_ranks = [grades.get(document, 0) for document in dict.fromkeys(found)] or [0]
    row, right = np.array([at_ranks]), np.array([list(grades.values())])
    rank = np.array([first_relevant_rank(found, grades)], dtype=np.float64)
    return {
        f"hit_rate@{k}": hit(rank, k)[0],
        f"mrr@{k}": reciprocal_rank(rank, k)[0],
        f"recall@{k}": recall(row, right, k)[0],
        f"precision@{k}": precision(row, k)[0],
        f"ndcg@{k}": ndcg(row, right, k)[0],
        f"map@{k}": average_precision(row, right, k)[0],
    }


documents = st.sampled_from([f"d{i}" for i in range(7)])
cases = st.lists(
    st.tuples(st.dictionaries(documents, st.integers(1, 10), min_size=1), st.lists(documents, max_size=9)), min_size=1
)


@given(cases, st.integers(1, 9), st.booleans())
def test_a_table_has_the_values_of_its_questions_one_by_one(cases, k, accept_alternates):
    questions, rows = tables(cases, accept_alternates)
    order = list(range(len(cases)))[::-1]  # rows need not stand in the order of the questions
    values = retrieval_values(questions, rows.take(order), [k], accept_alternates=accept_alternates)
    assert list(values) == [f"{metric}@{k}" for metric in ("hit_rate", "mrr", "recall", "precision", "ndcg", "map")]
    for place, number in enumerate(order):
        grades, found = cases[number]
        right = grades if accept_alternates else dict([next(iter(grades.items()))])
        assert {name: of_all[place] for name, of_all in values.items()} == pytest.approx(one_by_one(right, found, k))


def test_only_the_own_document_is_right_without_alternates():
    questions, rows = tables([({"own": 1, "other": 5}, ["other", "own"])], accept_alternates=False)
    values = retrieval_values(questions, rows, [1, 2], accept_alternates=False)
    assert values["recall@1"] == [0.0]
    assert values["recall@2"] == [1.0]
    assert values["map@2"] == [0.5]


def test_a_row_of_an_unknown_question_is_refused():
    questions, rows = tables([({"a": 1}, ["a"]), ({"b": 1}, ["b"])])
    with pytest.raises(ValueError, match="holds question_id 'q1', which is not in the questions table"):
        retrieval_values(questions.slice(0, 1), rows, [1], accept_alternates=False)


def test_100_000_questions_take_seconds():
    n, rng = 100_000, np.random.default_rng(0)
    ids = [f"q{i}" for i in range(n)]
    found = rng.integers(0, 20_000, (n, 10))
    names = pa.array([f"d{i}" for i in range(20_000)])
    rows = pa.table(
        {
            "question_id": ids,
            "document_ids": pa.ListArray.from_arrays(
                pa.array(np.arange(0, 10 * n + 1, 10), pa.int32()), names.take(pa.array(found.ravel()))
            ),
            "first_relevant_rank": pa.array(rng.integers(1, 9, n)),
        }
    )
    questions = pa.table(
        {
            "question_id": ids,
            "relevant_ids": pa.ListArray.from_arrays(
                pa.array(np.arange(n + 1), pa.int32()), names.take(pa.array(found[:, 3]))
            ),
            "relevant_grades": pa.array([[2]] * n),
        }
    )
    start = time.thread_time()  # whatever else the machine does
    values = retrieval_values(questions, rows, [1, 3, 5, 10], accept_alternates=False)
    assert time.thread_time() - start < 10
    assert values["recall@3"].sum() < values["recall@5"].sum() == n
