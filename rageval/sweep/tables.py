"""The Parquet tables of a sweep: one Arrow schema each, with types, nullability and a description per column."""

import pyarrow as pa

SCHEMA_VERSION = "1"

_STRING, _FLOAT, _INT = pa.string(), pa.float64(), pa.int64()


def _column(name: str, kind: pa.DataType, description: str, *, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null, metadata={"description": description})


def _schema(table: str, *columns: pa.Field) -> pa.Schema:
    return pa.schema(columns, metadata={"rageval.table": table, "rageval.schema_version": SCHEMA_VERSION})


_SETTING = _column("setting", _STRING, "name of the setting: method, boost, embedding model, index, candidates")
_PART = _column("part", _STRING, "tuning: the best setting was chosen on it; held-out: its figures are reported")
_QUESTION_ID = _column("question_id", _STRING, "hash of course, question and document of the ground-truth row")
_DOCUMENTS = _column("document_ids", pa.list_(_STRING), "found documents, best first")
_LATENCY = _column("latency_s", _FLOAT, "seconds in the search engine; batched: batch time / batch size; hybrid: sum")

SEARCH = _schema(
    "search",
    _QUESTION_ID,
    _DOCUMENTS,
    _column("scores", pa.list_(_FLOAT), "their scores, comparable only within the row"),
    _LATENCY,
)
SWEEP_RETRIEVAL = _schema(
    "sweep_retrieval",
    _SETTING,
    _PART,
    _QUESTION_ID,
    _DOCUMENTS,
    _column("first_relevant_rank", _INT, "rank (from 1) of the first right document; null: none found", null=True),
    _LATENCY,
)
SWEEP = _schema(
    "sweep",
    _SETTING,
    _column("search_method", _STRING, "text, vector or hybrid"),
    _column("question_boost", _FLOAT, "weight of a document's question; null: makes no difference", null=True),
    _column("embedding_model", _STRING, "as configured; null: makes no difference", null=True),
    _column("index_options", _STRING, "kind of vector index; null: makes no difference", null=True),
    _column("candidates", _INT, "hits that are fused; null: makes no difference", null=True),
    _PART,
    _column("metric", _STRING, "name of the metric with its k"),
    _column("n", _INT, "questions of the part"),
    _column("mean", _FLOAT, "mean of the values"),
    _column("ci_low", _FLOAT, "95 % interval of the mean, clustered by document; null below 2 clusters", null=True),
    _column("ci_high", _FLOAT, "95 % interval of the mean, clustered by document; null below 2 clusters", null=True),
    _column("latency_p50_s", _FLOAT, "median latency of a question of the part"),
    _column("latency_p95_s", _FLOAT, "95th percentile of it"),
    _column("is_best", pa.bool_(), "whether the setting was chosen on the tuning part"),
    _column("is_default", pa.bool_(), "whether it is the one that the best is compared with"),
)
