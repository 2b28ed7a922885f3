"""What the model is shown of what was found, and which metrics a run has."""

import pyarrow as pa

from rageval.config.depth import RetrievalDepth, first_documents, retrieval_depth
from rageval.config.evaluation import EvaluationConfig
from rageval.tables import RETRIEVAL


def test_the_cut_offs_of_a_run_hold_its_top_k_once_and_ascend() -> None:
    config = EvaluationConfig.model_validate({"retrieval": {"top_k": 5, "cutoffs": [10, 5, 1]}})
    depth = retrieval_depth(config.retrieval)
    assert depth == RetrievalDepth(top_k=5, cutoffs=(1, 5, 10), accept_alternates=False)


def test_the_model_is_shown_the_first_documents_and_the_rank_of_the_right_one_stays() -> None:
    rows = [
        {"question_id": "q", "retriever": "text", "document_ids": list("abc"), "scores": [3.0, 2.0, 1.0]}
        | {"first_relevant_rank": 3, "latency_s": 0.1},
        {"question_id": "r", "retriever": "text", "document_ids": ["a"], "scores": [3.0]}
        | {"first_relevant_rank": None, "latency_s": 0.1},
    ]
    table = pa.Table.from_pylist(rows, schema=RETRIEVAL)
    shown = first_documents(table, 2)
    assert shown.schema == RETRIEVAL
    assert shown["document_ids"].to_pylist() == [["a", "b"], ["a"]]
    assert shown["scores"].to_pylist() == [[3.0, 2.0], [3.0]]
    assert shown["first_relevant_rank"].to_pylist() == [3, None]
