"""The Parquet schemas: described, and able to hold every record without loss."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rageval.records import Document, Question, Retrieval, Score, StoredAnswer, Usage
from rageval.tables import SCHEMA_VERSION, SCHEMAS, to_row, to_table

ANSWER = StoredAnswer(
    question_id="q", system="m", context_ids=("d", "e"), status="ok", answer="Sí 🙂\x00", error=None, attempts=2,
    finish_reason="stop", usage=Usage(prompt_tokens=10, completion_tokens=2), cost_usd=0.25, latency_s=0.5,
    request_fingerprint="f", started_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
)  # fmt: skip
RECORDS: dict[str, Any] = {
    "documents": Document(document_id="d", title="q", text="t", metadata={"course": "c"}, content_hash="h"),
    "questions": Question(
        question_id="q",
        question="why",
        filter_value="c",
        history=({"role": "user", "content": "Hello"},),
        references=("because",),
        relevant_ids=("d",),
        relevant_grades=(3,),
        relevant_texts=("the text",),
        answerable=True,
        conversation="c1",
        alternate_ids=("e", "f"),
        alternate_grades=(1, 2),
        tags={"source": "mail"},
    ),
    "retrieval": Retrieval(
        question_id="q", retriever="text", document_ids=(), scores=(), first_relevant_rank=None, latency_s=0.1
    ),
    "answers": ANSWER,
    "scores": Score(question_id="q", system="m", metric="cosine", status="ok", value=-0.5, metric_version="1"),
}


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_says_what_it_holds(table: str) -> None:
    schema = SCHEMAS[table]
    assert schema.metadata == {b"rageval.table": table.encode(), b"rageval.schema_version": SCHEMA_VERSION.encode()}
    assert len(set(schema.names)) == len(schema.names)
    for field in schema:
        assert len(field.metadata[b"description"]) >= 10, field.name


@pytest.mark.parametrize("table", RECORDS)
def test_records_come_back_from_parquet_as_they_were(table: str, tmp_path: Path) -> None:
    record = RECORDS[table]
    pq.write_table(to_table([record, record], SCHEMAS[table]), tmp_path / "table.parquet")
    read = pq.read_table(tmp_path / "table.parquet")
    assert read.schema == SCHEMAS[table]
    assert [field.metadata for field in read.schema] == [field.metadata for field in SCHEMAS[table]]
    expected = {name: list(value) if isinstance(value, tuple) else value for name, value in to_row(record).items()}
    assert read.to_pylist(maps_as_pydicts="strict") == [expected, expected]


@pytest.mark.parametrize("table", RECORDS)
def test_a_table_has_the_columns_of_its_record_and_no_others(table: str) -> None:
    names = {field.name for field in fields(RECORDS[table])} - {"usage"}
    if "usage" in {field.name for field in fields(RECORDS[table])}:
        names |= {field.name for field in fields(Usage)}
    assert set(SCHEMAS[table].names) == names == set(to_row(RECORDS[table]))


@pytest.mark.parametrize("column", ["question_id", "status", "attempts", "request_fingerprint", "started_at"])
def test_a_gap_where_there_must_be_none_is_refused(column: str) -> None:
    with pytest.raises(pa.ArrowInvalid, match=column):
        to_table([ANSWER, replace(ANSWER, **{column: None})], SCHEMAS["answers"])
