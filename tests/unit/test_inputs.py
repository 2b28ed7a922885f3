"""What answers start from: the contexts that the model is shown, also of a run that an earlier version has stored."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rageval.records import Chunk, Document, Question
from rageval.runs.inputs import read_inputs, read_questions
from rageval.runs.store import RunStore
from rageval.tables import DOCUMENTS, QUESTIONS, RETRIEVAL, to_table

CHUNK = Chunk(number=0, start=0, stop=1, search_method="text")


@pytest.fixture
def run(tmp_path: Path) -> RunStore:
    store = RunStore(str(tmp_path / "r1"))
    documents = [
        Document(document_id=i, course="c", section="", question=i, text=f"Text of {i}", content_hash=i) for i in "abc"
    ]
    question = Question(
        question_id="q", question="Why?", course="c", document_id="c", grade=3, alternate_ids=("a", "b"),
        alternate_grades=(2, 1),
    )  # fmt: skip
    found = {"question_id": "q", "search_method": "text", "document_ids": ["a", "b", "c"], "scores": [3.0, 2.0, 1.0]}
    store.write("documents", to_table(documents, DOCUMENTS))
    store.write("questions", to_table([question], QUESTIONS))
    rows = [found | {"first_relevant_rank": 3, "latency_s": 0.1}]
    store.write("retrieval", pa.Table.from_pylist(rows, schema=RETRIEVAL))
    store.write_json("run.json", {"config": {"retrieval": {"top_k": 2, "cutoffs": [1, 3]}}})
    return store


def test_the_model_is_shown_the_first_top_k_documents_however_many_are_kept(run: RunStore) -> None:
    [contexts] = read_inputs(run).contexts(CHUNK)
    assert [document.document_id for document in contexts] == ["a", "b"]


def test_questions_come_back_with_their_grades(run: RunStore) -> None:
    [question] = read_questions(run)
    assert (question.grade, question.alternate_ids, question.alternate_grades) == (3, ("a", "b"), (2, 1))
    assert read_inputs(run).of_chunk(CHUNK) == [question]


@pytest.mark.parametrize("columns_are_there", [True, False])
def test_a_run_of_an_earlier_version_has_the_grade_1_for_every_document(run: RunStore, columns_are_there: bool) -> None:
    old = run.read("questions").drop_columns(["grade", "alternate_grades"])
    if columns_are_there:  # as in tables of several versions that were put together
        old = pa.Table.from_pylist(old.to_pylist(), schema=QUESTIONS)
    pq.write_table(old, run.path / "questions.parquet")
    [question] = read_questions(run)
    assert (question.grade, question.alternate_ids, question.alternate_grades) == (1, ("a", "b"), (1, 1))
