"""The Parquet tables of a run: one Arrow schema each, with types, nullability and a description per column."""

from collections.abc import Iterable, Mapping
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
    _column(
        "grade",
        _INT,
        "how right that document is, 1 to 10; 1 where the ground truth has no grades; null in runs of old versions",
        null=True,
    ),
    _column("alternate_ids", pa.list_(_STRING), "other right documents of the same question and course"),
    _column("alternate_grades", pa.list_(_INT), "the grade of each of alternate_ids", null=True),
)
RETRIEVAL = _schema(
    "retrieval",
    _QUESTION_ID,
    _METHOD,
    _column("document_ids", pa.list_(_STRING), "found documents, best first; the model was shown the first top_k"),
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
BLAME = _schema(
    "blame",
    _QUESTION_ID,
    _MODEL,
    _METHOD,
    _column("shown", pa.bool_(), "whether the right document was among those that the model was shown"),
    _column("outcome", _STRING, "right, partly, wrong or refused; not judged; no answer"),
    _column("cell", _STRING, "right, generation miss, refused with the context, search miss, correct refusal, ..."),
)
HUMAN_LABELS = _schema(
    "labels",
    _QUESTION_ID,
    _MODEL,
    _METHOD,
    _column("label", _STRING, "what a person thinks of the answer: RELEVANT, PARTLY_RELEVANT or NON_RELEVANT"),
)
JUDGING = _schema(
    "judging",
    _column("judge", _STRING, "name of the judge; of a panel, its judges' names joined by +"),
    _column("metric", _STRING, "what it was asked, such as judge_with_reference"),
    _column("figure", _STRING, "flip_rate, kappa, auc, share_corrected, verdict, ...; see docs/judging.md"),
    _column("against", _STRING, "what the judge is compared with: itself, human labels, cosine, ...", null=True),
    _column("model", _STRING, "answering model; null for figures over all of them", null=True),
    _column("search_method", _STRING, "text, vector or hybrid; null for figures over all of them", null=True),
    _column("label", _STRING, "of a verdict on the judge: fit, unfit, ...; of pairs: the judge's label", null=True),
    _column("other_label", _STRING, "of pairs: the label of what the judge is compared with", null=True),
    _column("value", _FLOAT, "the figure; null where it is undefined", null=True),
    _column("ci_low", _FLOAT, "95 % interval, clustered by document; null where there is none", null=True),
    _column("ci_high", _FLOAT, "95 % interval, clustered by document; null where there is none", null=True),
    _column("n", _INT, "answers or pairs that the figure was computed from"),
    _column("note", _STRING, "what it says, in a sentence; verdicts and remarks only", null=True),
)
COMPARISONS = _schema(
    "comparisons",
    _column("metric", _STRING, "name of the metric"),
    _column("model_a", _STRING, "answering model of side a; null for retrieval metrics", null=True),
    _column("search_method_a", _STRING, "search method of side a"),
    _column("model_b", _STRING, "answering model of side b; null for retrieval metrics", null=True),
    _column("search_method_b", _STRING, "search method of side b"),
    _column("n", _INT, "questions for which both sides have a value"),
    _column("clusters", _INT, "documents of these questions; null below 2", null=True),
    _column("mean_a", _FLOAT, "mean of side a over the n questions", null=True),
    _column("mean_b", _FLOAT, "mean of side b over the n questions", null=True),
    _column("difference", _FLOAT, "mean of a - b over the n questions; null below 2 documents", null=True),
    _column("ci_low", _FLOAT, "95 % interval of the difference, clustered by document", null=True),
    _column("ci_high", _FLOAT, "95 % interval of the difference, clustered by document", null=True),
    _column("standard_error", _FLOAT, "standard error of the difference, clustered by document", null=True),
    _column("p_value", _FLOAT, "two-sided paired test of the difference against 0", null=True),
    _column("p_adjusted", _FLOAT, "p_value after Holm's correction for all rows of this table", null=True),
    _column("effect_size", _FLOAT, "Cohen's dz; null where all differences are equal", null=True),
    _column("better", _INT, "questions with a > b", null=True),
    _column("worse", _INT, "questions with a < b", null=True),
    _column("tied", _INT, "questions with a = b", null=True),
    _column("smallest_detectable", _FLOAT, "true difference found with a power of 80 % (p_value < 0.05)", null=True),
    _column("verdict", _STRING, "a is: better, worse, no difference seen, too few questions"),
    _column("cost_a_usd", _FLOAT, "US dollars per answer of side a; null if unknown or reused", null=True),
    _column("cost_b_usd", _FLOAT, "US dollars per answer of side b; null if unknown or reused", null=True),
)

SCHEMAS: Mapping[str, pa.Schema] = {
    "documents": DOCUMENTS,
    "questions": QUESTIONS,
    "retrieval": RETRIEVAL,
    "answers": ANSWERS,
    "scores": SCORES,
    "summary": SUMMARY,
    "comparisons": COMPARISONS,
    "blame": BLAME,
    "labels": HUMAN_LABELS,
    "judging": JUDGING,
}

AUDIT = _schema(
    "audit",
    _column("kind", _STRING, "what kind of finding, such as id_twice; the page explains each"),
    _column("severity", _STRING, "error: stops a run; warning: bends its figures; note: worth knowing"),
    _column("course", _STRING, "the course it concerns; null if it concerns no single one", null=True),
    _column("document_ids", pa.list_(_STRING), "the documents it is about"),
    _column("question_ids", pa.list_(_STRING), "the ground-truth rows it is about, as in the questions of a run"),
    _column("question", _STRING, "text of the question, where it is about one", null=True),
    _column("rows", pa.list_(_STRING), "file and place of each row"),
    _column("measure", _FLOAT, "the number behind it: a cosine, a share or a count; null if none", null=True),
    _column("what", _STRING, "what was found, in a sentence"),
    _column("fix", _STRING, "what can be done about it"),
)
GENERATED = _schema(
    "generated",
    _column("document_id", _STRING, "the document that the question was written from"),
    _column("course", _STRING, "the document's course"),
    _column("number", _INT, "place of the question in the model's reply, from 1; 0 where there is no question"),
    _column("question", _STRING, "the question; null where the reply holds none", null=True),
    _column("status", _STRING, "kept; dropped by a filter; failed: no reply, or none that can be read"),
    _column("reason", _STRING, "why it was dropped or failed; null if kept", null=True),
    _column("detail", _STRING, "more on the reason: the other question, the judge's reason, the error", null=True),
    _column("copied_share", _FLOAT, "share of its word triples found in the document; null below 3 words", null=True),
    _column("copied_run", _INT, "most words in a row found in the document; null without a question", null=True),
    _column("answerable", _STRING, "the check's verdict, YES or NO; null if it was not checked", null=True),
    _column("model", _STRING, "name of the model that wrote it"),
    _column("attempts", _INT, "requests sent for the document's questions; on its first row, else 0"),
    _column("prompt_tokens", _INT, "of the document's reply, on its first row, else 0; null if unknown", null=True),
    _column("completion_tokens", _INT, "of the document's reply, on its first row, else 0; null if unknown", null=True),
    _column("cost_usd", _FLOAT, "US dollars of the document's reply, on its first row, else 0", null=True),
    _column("check_attempts", _INT, "requests sent to check the question; 0 if it was not checked"),
    _column("check_prompt_tokens", _INT, "of the check, 0 if it was not checked; null if unknown", null=True),
    _column("check_completion_tokens", _INT, "of the check, 0 if it was not checked; null if unknown", null=True),
    _column("check_cost_usd", _FLOAT, "US dollars of the check, 0 if it was not checked", null=True),
)
DATA_SCHEMAS: Mapping[str, pa.Schema] = {"audit": AUDIT, "generated": GENERATED}
"""Tables about documents and ground truth, which belong to no evaluation run."""


def to_row(record: Document | Question | Retrieval | Answer | Score) -> dict[str, Any]:
    """Return a record as a flat row of its table."""
    row = dict(vars(record))
    if "usage" in row:
        row |= vars(row.pop("usage"))
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
