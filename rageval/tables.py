"""The Parquet tables of a run: one Arrow schema each, with types, nullability and a description per column."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from rageval.records import Answer, Document, Question, Retrieval, Score

SCHEMA_VERSION = "1"

_STRING, _FLOAT, _INT = pa.string(), pa.float64(), pa.int64()


def _column(name: str, kind: pa.DataType, description: str, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"description": description})


def _schema(table: str, *columns: pa.Field) -> pa.Schema:
    return pa.schema(columns, metadata={"rageval.table": table, "rageval.schema_version": SCHEMA_VERSION})


_QUESTION_ID = _column("question_id", _STRING, "hash of course, question and document of the ground-truth row")
_MODEL = _column("model", _STRING, "name of the answering model in the configuration")
_METHOD = _column("search_method", _STRING, "text, vector or hybrid")
_TOKENS = (
    _column("prompt_tokens", _INT, "as the server reported them", null=True),
    _column("completion_tokens", _INT, "as the server reported them", null=True),
    _column("cached_tokens", _INT, "part of prompt_tokens read from the provider's cache", null=True),
    _column("reasoning_tokens", _INT, "part of completion_tokens spent on hidden reasoning", null=True),
    _column(
        "cost_usd",
        _FLOAT,
        "US dollars of all attempts that brought a reply; null where price or tokens are unknown",
        null=True,
    ),
)
_REUSED = _column(
    "reused_from",
    _STRING,
    "id of the earlier run that asked; this run then sent nothing: attempts 0, cost_usd 0, tokens and latency null",
    null=True,
)
_LATENCY = _column("latency_s", _FLOAT, "seconds of the successful attempt, waiting for limits left out", null=True)

DOCUMENTS = _schema(
    "documents",
    _column("document_id", _STRING, "id of the FAQ entry, unique"),
    _column("course", _STRING, "course the entry belongs to"),
    _column("section", _STRING, "section within the course"),
    _column("question", _STRING, "the entry's question"),
    _column("text", _STRING, "the entry's answer: the reference of its ground-truth questions"),
    _column("content_hash", _STRING, "hash of all columns but the id"),
)
QUESTIONS = _schema(
    "questions",
    _QUESTION_ID,
    _column("question", _STRING, "what is asked"),
    _column("course", _STRING, "filter of the search"),
    _column("document_id", _STRING, "the row's right document: its text is the reference answer"),
    _column("alternate_ids", pa.list_(_STRING), "other right documents of the same question and course"),
)
RETRIEVAL = _schema(
    "retrieval",
    _QUESTION_ID,
    _METHOD,
    _column("document_ids", pa.list_(_STRING), "found documents, best first"),
    _column("scores", pa.list_(_FLOAT), "their scores, comparable only within the row"),
    _column("first_relevant_rank", _INT, "rank (from 1) of the first right document; null: none found", null=True),
    _column("latency_s", _FLOAT, "seconds in the search engine; batched methods: batch time / batch size"),
)
ANSWERS = _schema(
    "answers",
    _QUESTION_ID,
    _MODEL,
    _METHOD,
    _column("status", _STRING, "ok or failed"),
    _column("answer", _STRING, "the model's words; null unless status is ok", null=True),
    _column("error", _STRING, "why there is no answer; null if status is ok", null=True),
    _column("attempts", _INT, "requests sent for this answer"),
    _column("finish_reason", _STRING, "stop, length, content_filter, ...", null=True),
    *_TOKENS,
    _LATENCY,
    _column("request_fingerprint", _STRING, "hash of messages, model and parameters"),
    _column("started_at", pa.timestamp("us", tz="UTC"), "when the first attempt was sent"),
    _REUSED,
)
SCORES = _schema(
    "scores",
    _QUESTION_ID,
    _MODEL,
    _METHOD,
    _column("metric", _STRING, "cosine, judge_with_reference, judge_without_reference, ..."),
    _column("status", _STRING, "ok; unscored: no verdict could be read; failed: request failed; skipped: no answer"),
    _column("value", _FLOAT, "null unless status is ok", null=True),
    _column("label", _STRING, "the judge's label", null=True),
    _column("reason", _STRING, "the judge's reason", null=True),
    _column("error", _STRING, "why there is no value", null=True),
    _column("raw_reply", _STRING, "the judge's reply, kept if it could not be read", null=True),
    _column("metric_version", _STRING, "changes whenever the metric's definition or prompt changes"),
    _column("judge_model", _STRING, "name of the judge in the configuration", null=True),
    _column("attempts", _INT, "requests sent for this score"),
    *_TOKENS,
    _LATENCY,
    _column("request_fingerprint", _STRING, "hash of the judge's messages, model and parameters", null=True),
    _REUSED,
)
SUMMARY = _schema(
    "summary",
    _column("model", _STRING, "answering model; null for retrieval metrics", null=True),
    _METHOD,
    _column("metric", _STRING, "name of the metric"),
    _column("n", _INT, "questions asked"),
    _column("n_scored", _INT, "of these with a value: the denominator of the mean"),
    _column("n_failed", _INT, "of these without one: n - n_scored"),
    _column("mean", _FLOAT, "mean of the values; null if there are none", null=True),
    _column("median", _FLOAT, "median of the values", null=True),
    _column("ci_low", _FLOAT, "95 % interval of the mean, clustered by document; null below 2 clusters", null=True),
    _column("ci_high", _FLOAT, "95 % interval of the mean, clustered by document; null below 2 clusters", null=True),
    _column("total", _FLOAT, "sum of the values", null=True),
    _column("p95", _FLOAT, "95th percentile of the values", null=True),
)

SCHEMAS: Mapping[str, pa.Schema] = {
    "documents": DOCUMENTS,
    "questions": QUESTIONS,
    "retrieval": RETRIEVAL,
    "answers": ANSWERS,
    "scores": SCORES,
    "summary": SUMMARY,
}


def to_row(record: Document | Question | Retrieval | Answer | Score) -> dict[str, Any]:
    """Return a record as a flat row of its table."""
    row = asdict(record)
    row.update(row.pop("usage", {}))
    return row


def to_table(records: Iterable[Document | Question | Retrieval | Answer | Score], schema: pa.Schema) -> pa.Table:
    """Return records as a table of that schema.

    Raises:
        pyarrow.ArrowInvalid: If a record does not fit the schema, such as None in a column that has no nulls.
    """
    table = pa.Table.from_pylist([to_row(record) for record in records], schema=schema)
    table.validate(full=True)
    for column in schema:
        if not column.nullable and table[column.name].null_count:
            raise pa.ArrowInvalid(f"the column {column.name} holds null, which its schema does not allow")
    return table
