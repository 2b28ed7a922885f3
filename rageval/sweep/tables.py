"""The Parquet tables of a sweep: one Arrow schema each, with types, nullability and a description per column."""

import pyarrow as pa

from rageval.tables import column, schema_of

_STRING, _FLOAT, _INT = pa.string(), pa.float64(), pa.int64()

_SETTING = column("setting", _STRING, "name of the setting: method, fields, boost, embedding model, index, candidates")
_PART = column("part", _STRING, "tuning: the best setting was chosen on it; held-out: its values are reported")
_QUESTION_ID = column("question_id", _STRING, "hash of question and document of the ground-truth row")
_DOCUMENTS = column("document_ids", pa.list_(_STRING), "found documents, best first")
_LATENCY = column("latency_s", _FLOAT, "seconds in the search engine; batched: batch time / batch size; hybrid: sum")

SEARCH = schema_of(
    "search",
    _QUESTION_ID,
    _DOCUMENTS,
    column("scores", pa.list_(_FLOAT), "their scores, comparable only within the row"),
    _LATENCY,
)
SWEEP_RETRIEVAL = schema_of(
    "sweep_retrieval",
    _SETTING,
    _PART,
    _QUESTION_ID,
    _DOCUMENTS,
    column("first_relevant_rank", _INT, "rank (from 1) of the first right document; null: none found", null=True),
    _LATENCY,
)
SWEEP = schema_of(
    "sweep",
    _SETTING,
    column("search_method", _STRING, "text, vector or hybrid; elasticsearch or python of a retriever of one's own"),
    column("combination", _STRING, "how fields count: together, best or sum; null: makes no difference", null=True),
    column("question_boost", _FLOAT, "weight of a document's title; null: makes no difference", null=True),
    column("embedding_model", _STRING, "as configured; null: makes no difference", null=True),
    column("index_options", _STRING, "kind of vector index; null: makes no difference", null=True),
    column("candidates", _INT, "hits that are fused; null: makes no difference", null=True),
    column("retriever", _STRING, "name of a retriever of one's own; null where a method was searched with", null=True),
    _PART,
    column("metric", _STRING, "name of the metric with its k"),
    column("n", _INT, "questions of the part"),
    column("mean", _FLOAT, "mean of the values"),
    column("ci_low", _FLOAT, "95 % interval of the mean, clustered by document; null below 2 clusters", null=True),
    column("ci_high", _FLOAT, "95 % interval of the mean, clustered by document; null below 2 clusters", null=True),
    column("latency_p50_s", _FLOAT, "median latency of a question of the part"),
    column("latency_p95_s", _FLOAT, "95th percentile of it"),
    column("is_best", pa.bool_(), "whether the setting was chosen on the tuning part"),
    column("is_default", pa.bool_(), "whether it is the one that the best is compared with"),
)
