"""What answers start from: the questions, and the contexts that the model is shown."""

from pathlib import Path

import pyarrow as pa
import pytest

from rageval.config.evaluation import EvaluationConfig
from rageval.records import Chunk, Document, Question
from rageval.runs import life
from rageval.runs.inputs import read_inputs, read_questions
from rageval.runs.run import Run
from rageval.tables import DOCUMENTS, QUESTIONS, RETRIEVAL, to_table

CHUNK = Chunk(number=0, start=0, stop=1)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    store = Run(str(tmp_path / "r1"))
    documents = [
        Document(document_id=i, title=i, text=f"Text of {i}", metadata={"course": "c"}, content_hash=i) for i in "abc"
    ]
    question = Question(
        question_id="q", question="Why?", filter_value="c",
        relevant_ids=("c",), relevant_grades=(3,), alternate_ids=("a", "b"),
        alternate_grades=(2, 1), tags={"asked by": "mail"},
    )  # fmt: skip
    found = {"question_id": "q", "retriever": "text", "document_ids": ["a", "b", "c"], "scores": [3.0, 2.0, 1.0]}
    store.write("documents", to_table(documents, DOCUMENTS))
    store.write("questions", to_table([question], QUESTIONS))
    rows = [found | {"first_relevant_rank": 3, "latency_s": 0.1}]
    store.write("retrieval", pa.Table.from_pylist(rows, schema=RETRIEVAL))
    config = EvaluationConfig.model_validate({"retrieval": {"top_k": 2, "cutoffs": [1, 3]}})
    life.begin(store, config, [])
    return store


def test_the_model_is_shown_the_first_top_k_documents_however_many_are_kept(run: Run) -> None:
    assert read_inputs(run).found(CHUNK, "text") == [["a", "b"]]


def test_without_a_retriever_nothing_is_found_for_any_question(run: Run) -> None:
    assert read_inputs(run).found(Chunk(number=0, start=0, stop=3), None) == [[], [], []]


def test_questions_come_back_with_their_grades(run: Run) -> None:
    [question] = list(read_questions(run))
    assert (question.relevant_grades, question.alternate_ids, question.alternate_grades) == ((3,), ("a", "b"), (2, 1))
    assert read_inputs(run).of_chunk(CHUNK) == [question]
