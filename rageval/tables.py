"""The Parquet tables of a run: one Arrow schema each, with types, nullability and a description per column."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from rageval.records import Document, Question, Retrieval, Score, StoredAnswer

SCHEMA_VERSION = "1"
_ROWS_AT_ONCE = 4096

_STRING, _FLOAT, _INT = pa.string(), pa.float64(), pa.int64()
_BY_NAME = pa.map_(_STRING, _STRING)
_TURNS = pa.list_(pa.struct([pa.field("role", _STRING, False), pa.field("content", _STRING, False)]))


def column(name: str, kind: pa.DataType, description: str, *, null: bool = False) -> pa.Field:
    """Return a column with its description, which stands in the files' metadata."""
    return pa.field(name, kind, nullable=null, metadata={"description": description})


def schema_of(table: str, *columns: pa.Field) -> pa.Schema:
    """Return the schema of a table, which carries the table's name and the schemas' version."""
    return pa.schema(columns, metadata={"rageval.table": table, "rageval.schema_version": SCHEMA_VERSION})


_QUESTION_ID = column("question_id", _STRING, "hash of question and document of the ground-truth row")
_SYSTEM = column("system", _STRING, "name of the system, whose row in `systems` says what it is made of")
_REPEAT = column("repeat", _INT, "which of the system's answers to the question it is, from 1")
_RETRIEVER = column("retriever", _STRING, "name of the retriever")
_TOKENS = (
    column("prompt_tokens", _INT, "as the server reported them", null=True),
    column("completion_tokens", _INT, "as the server reported them", null=True),
    column("cached_tokens", _INT, "part of prompt_tokens read from the provider's cache", null=True),
    column("reasoning_tokens", _INT, "part of completion_tokens spent on hidden reasoning", null=True),
    column(
        "cost_usd",
        _FLOAT,
        "US dollars of all attempts that brought a reply; null where price or tokens are unknown",
        null=True,
    ),
)
_REUSED = column(
    "reused_from",
    _STRING,
    "id of the earlier run that asked; this run then sent nothing: attempts 0, cost_usd 0, tokens and latency null",
    null=True,
)
_LATENCY = column("latency_s", _FLOAT, "seconds of the successful attempt, waiting for limits left out", null=True)

DOCUMENTS = schema_of(
    "documents",
    column("document_id", _STRING, "id of the document, unique"),
    column("title", _STRING, "what it is called; the question of a FAQ entry; empty where it has none"),
    column("text", _STRING, "the document itself: the reference of its ground-truth questions"),
    column("metadata", _BY_NAME, "every other column of the file that has a value, as text by its name"),
    column("content_hash", _STRING, "hash of all columns but the id"),
)
FOUND_DOCUMENTS = schema_of(
    "found_documents",
    column("document_id", _STRING, "as a retriever of one's own names it; with # and a hash for its second text"),
    column("title", _STRING, "what it is called; empty where it has none"),
    column("text", _STRING, "what the retriever brought, of a document that data.documents does not hold"),
    column("metadata", _BY_NAME, "always empty"),
    column("content_hash", _STRING, "hash of title and text"),
)
QUESTIONS = schema_of(
    "questions",
    _QUESTION_ID,
    column("question", _STRING, "what is asked"),
    column("history", _TURNS, "earlier turns of the conversation, the oldest first"),
    column("filter_value", _STRING, "only documents with it in the column data.filter_by are searched; empty: all"),
    column("references", pa.list_(_STRING), "right answers, any of which will do; of a FAQ, the document's text"),
    column("relevant_ids", pa.list_(_STRING), "documents that answer it; the first one is what it was made from"),
    column("relevant_grades", pa.list_(_INT), "how relevant each of them is, 1 to 10; 1 where nothing says"),
    column("alternate_ids", pa.list_(_STRING), "documents that other rows of the same question name"),
    column("alternate_grades", pa.list_(_INT), "the grade of each of alternate_ids"),
    column("relevant_texts", pa.list_(_STRING), "texts that answer it, where documents are not known by ids"),
    column("answerable", pa.bool_(), "whether the documents hold an answer; null where that is not known", null=True),
    column("conversation", _STRING, "what its turns have in common; empty where it stands alone"),
    column("tags", _BY_NAME, "every other column of the file that has a value, as text by its name"),
)
SYSTEMS = schema_of(
    "systems",
    _SYSTEM,
    column("kind", _STRING, "pipeline, closed_book, oracle, http, python or recorded"),
    column(
        "retriever",
        _STRING,
        "name of the retriever that finds its contexts; its own name if it brings them; null where none does",
        null=True,
    ),
    column("prompt", _STRING, "name of the prompt; null where it is not ours", null=True),
    column("prompt_hash", _STRING, "hash of the prompt's two templates", null=True),
    column("prompt_system", _STRING, "template of the system part; empty if it has none", null=True),
    column("prompt_user", _STRING, "template of the user part", null=True),
    column("model", _STRING, "name of the model in the configuration; null where it is not ours", null=True),
    column("endpoint", _STRING, "URL, function or file of a system of its user's own", null=True),
    column("parameters", _STRING, "what its requests carry beside the messages, as JSON"),
)
RETRIEVAL = schema_of(
    "retrieval",
    _QUESTION_ID,
    _RETRIEVER,
    column("document_ids", pa.list_(_STRING), "found documents, best first; the model was shown the first top_k"),
    column("scores", pa.list_(_FLOAT), "their scores, comparable only within the row"),
    column("first_relevant_rank", _INT, "rank (from 1) of the first right document; null: none found", null=True),
    column(
        "latency_s",
        _FLOAT,
        "seconds in the search engine; batched methods: batch time / batch size; null where a system brings them",
        null=True,
    ),
    column(
        "counted_as",
        pa.list_(_STRING),
        "what each counts as where relevance is a matter of texts: `text 1` holds the first right text; null elsewhere",
        null=True,
    ),
    column(
        "shown_ids",
        pa.list_(_STRING),
        "what a model is shown of each, where that is not the document itself",
        null=True,
    ),
    column("error", _STRING, "why there is no result, of a retriever of one's own: it has no metrics", null=True),
)
ANSWERS = schema_of(
    "answers",
    _QUESTION_ID,
    _SYSTEM,
    _REPEAT,
    column("context_ids", pa.list_(_STRING), "what the system was shown, in order; null: nobody knows", null=True),
    column(
        "context_texts",
        pa.list_(_STRING),
        "the text of each, of a system that brings its own; null items are documents of the run",
        null=True,
    ),
    column("context_scores", pa.list_(_FLOAT), "what the system says of each, comparable within the row", null=True),
    column("citations", pa.list_(_STRING), "what the answer cites, as its system says", null=True),
    column("status", _STRING, "ok or failed"),
    column("answer", _STRING, "the text; null unless status is ok, and where a system retrieves only", null=True),
    column("thinking", _STRING, "what it thought aloud before them; never scored or judged", null=True),
    column("error", _STRING, "why there is no answer; null if status is ok", null=True),
    column("attempts", _INT, "requests sent for this answer"),
    column("finish_reason", _STRING, "stop, length, content_filter, ...", null=True),
    *_TOKENS,
    _LATENCY,
    column("first_token_s", _FLOAT, "seconds until the first piece of a streamed reply", null=True),
    column("request_fingerprint", _STRING, "hash of all that the reply depends on"),
    column("started_at", pa.timestamp("us", tz="UTC"), "when the first attempt was sent"),
    _REUSED,
)
SCORES = schema_of(
    "scores",
    _QUESTION_ID,
    _SYSTEM,
    _REPEAT,
    column("metric", _STRING, "cosine, correctness, relevance, ..."),
    column(
        "status",
        _STRING,
        "ok; unscored: no verdict could be read, or the metric does not read the answer's language; failed: request "
        "failed; skipped: no answer; not_measured: the question has no reference, or the system shows no contexts",
    ),
    column("value", _FLOAT, "null unless status is ok", null=True),
    column("label", _STRING, "the judge's label", null=True),
    column("reason", _STRING, "the judge's reason; of a cosine, what was not read to its end", null=True),
    column("error", _STRING, "why there is no value", null=True),
    column("raw_reply", _STRING, "the judge's reply, kept if it could not be read", null=True),
    column("thinking", _STRING, "what the judge thought aloud before its verdict", null=True),
    column(
        "metric_version",
        _STRING,
        "changes whenever the metric's definition or prompt changes; `3 with toxicity`: asked for in one call with it",
    ),
    column("judge_model", _STRING, "name of the judge in the configuration", null=True),
    column(
        "attempts",
        _INT,
        "requests sent for this score; those of a call for several stand, with its tokens and dollars, at one of them",
    ),
    *_TOKENS,
    _LATENCY,
    column("request_fingerprint", _STRING, "hash of the judge's messages, model and parameters", null=True),
    _REUSED,
)
SUMMARY = schema_of(
    "summary",
    column("system", _STRING, "name of the system; null for retrieval metrics", null=True),
    column("retriever", _STRING, "name of the retriever; null for metrics of answers", null=True),
    column("metric", _STRING, "name of the metric"),
    column("n", _INT, "questions that the metric can be measured of: asked, and with what it needs"),
    column("n_scored", _INT, "of these with a value: the denominator of the mean"),
    column("n_failed", _INT, "of these without one: n - n_scored"),
    column("mean", _FLOAT, "mean of the values; null if there are none", null=True),
    column("median", _FLOAT, "median of the values", null=True),
    column("ci_low", _FLOAT, "95 % interval of the mean, clustered by document; null below 2 clusters", null=True),
    column("ci_high", _FLOAT, "95 % interval of the mean, clustered by document; null below 2 clusters", null=True),
    column("total", _FLOAT, "sum of the values", null=True),
    column("p95", _FLOAT, "95th percentile of the values", null=True),
)
BLAME = schema_of(
    "blame",
    _QUESTION_ID,
    _SYSTEM,
    column(
        "shown",
        pa.bool_(),
        "whether the right document was shown; null: what is right, or shown, is not known",
        null=True,
    ),
    column("outcome", _STRING, "right, partly, wrong or refused; not judged; no answer"),
    column("cell", _STRING, "right, generation miss, refused with the context, search miss, correct refusal, ..."),
)
ABSTENTION = schema_of(
    "abstention",
    _SYSTEM,
    column(
        "answerable", pa.bool_(), "whether the documents hold an answer to these questions; null: unknown", null=True
    ),
    column("n", _INT, "questions of which that is so"),
    column("n_scored", _INT, "of these with a value of refusal: the denominator of the share"),
    column("refused", _FLOAT, "of n_scored, refused; of several repeats each counts as its part of a question"),
    column("answered", _FLOAT, "of n_scored, not refused"),
    column("share", _FLOAT, "refused / n_scored; null if there are none", null=True),
    column("ci_low", _FLOAT, "95 % interval of the share, clustered by document; null below 2 clusters", null=True),
    column("ci_high", _FLOAT, "95 % interval of the share, clustered by document; null below 2 clusters", null=True),
)
CONVERSATIONS = schema_of(
    "conversations",
    _SYSTEM,
    column("metric", _STRING, "name of the metric"),
    column("conversation", _STRING, "what its questions have in common"),
    column("turns", _INT, "questions of the run that belong to it"),
    column("n_scored", _INT, "of these with a value: the denominator of the mean"),
    column("mean", _FLOAT, "mean of these values"),
    column("worst", _FLOAT, "the worst of them"),
)
REPEATS = schema_of(
    "repeats",
    _SYSTEM,
    column("metric", _STRING, "name of the metric; answers alike: of the very same texts"),
    column("n", _INT, "questions with a value in at least two repeats"),
    column("values", _INT, "values of these questions"),
    column("agreement", _FLOAT, "share of the n questions whose repeats all have one label, or text", null=True),
    column("deviation", _FLOAT, "standard deviation of a question's values between repeats, pooled", null=True),
)
HUMAN_LABELS = schema_of(
    "labels",
    _QUESTION_ID,
    _SYSTEM,
    column("label", _STRING, "what a person thinks of the answer: RELEVANT, PARTLY_RELEVANT or NON_RELEVANT"),
)
JUDGING = schema_of(
    "judging",
    column("judge", _STRING, "name of the judge; of a panel, its judges' names joined by +"),
    column("metric", _STRING, "what it was asked, such as correctness"),
    column("statistic", _STRING, "flip_rate, kappa, auc, share_corrected, verdict, ...; see docs/judging.md"),
    column("against", _STRING, "what the judge is compared with: itself, human labels, cosine, ...", null=True),
    column("system", _STRING, "whose answers; null for statistics over all systems", null=True),
    column("label", _STRING, "of a verdict on the judge: fit, unfit, ...; of pairs: the judge's label", null=True),
    column("other_label", _STRING, "of pairs: the label of what the judge is compared with", null=True),
    column("value", _FLOAT, "the statistic; null where it is undefined", null=True),
    column("ci_low", _FLOAT, "95 % interval, clustered by document; null where there is none", null=True),
    column("ci_high", _FLOAT, "95 % interval, clustered by document; null where there is none", null=True),
    column("n", _INT, "answers or pairs that the statistic was computed from"),
    column("note", _STRING, "what it says, in a sentence; verdicts and remarks only", null=True),
)
COMPARISONS = schema_of(
    "comparisons",
    column("metric", _STRING, "name of the metric"),
    column(
        "differ_in", _STRING, "model, prompt, retriever or kind, joined by + where it is several; system: not known"
    ),
    column("of", _STRING, "systems, retrievers, or pooled: all systems with the one part against those with the other"),
    column("baseline", _STRING, "name of the baseline: a system, a retriever, or a part of systems"),
    column("candidate", _STRING, "name of the candidate"),
    column("n", _INT, "questions for which both have a value"),
    column("clusters", _INT, "documents of these questions; null below 2", null=True),
    column("mean_baseline", _FLOAT, "mean of the baseline over the n questions", null=True),
    column("mean_candidate", _FLOAT, "mean of the candidate over the n questions", null=True),
    column(
        "difference", _FLOAT, "mean of candidate - baseline over the n questions; null below 2 documents", null=True
    ),
    column("ci_low", _FLOAT, "95 % interval of the difference, clustered by document", null=True),
    column("ci_high", _FLOAT, "95 % interval of the difference, clustered by document", null=True),
    column("standard_error", _FLOAT, "standard error of the difference, clustered by document", null=True),
    column("p_value", _FLOAT, "two-sided paired test of the difference against 0", null=True),
    column("p_adjusted", _FLOAT, "p_value after Holm's correction for all rows of this table", null=True),
    column("effect_size", _FLOAT, "Cohen's dz; null where all differences are equal", null=True),
    column("better", _INT, "questions with candidate > baseline", null=True),
    column("worse", _INT, "questions with candidate < baseline", null=True),
    column("tied", _INT, "questions with candidate = baseline", null=True),
    column("smallest_detectable", _FLOAT, "true difference found with a power of 80 % (p_value < 0.05)", null=True),
    column("verdict", _STRING, "the candidate is: better, worse, no difference seen, too few questions"),
    column("cost_baseline_usd", _FLOAT, "US dollars per answer of the baseline; null if unknown or reused", null=True),
    column(
        "cost_candidate_usd", _FLOAT, "US dollars per answer of the candidate; null if unknown or reused", null=True
    ),
)

SCHEMAS: Mapping[str, pa.Schema] = {
    "documents": DOCUMENTS,
    "questions": QUESTIONS,
    "systems": SYSTEMS,
    "retrieval": RETRIEVAL,
    "answers": ANSWERS,
    "scores": SCORES,
    "summary": SUMMARY,
    "comparisons": COMPARISONS,
    "blame": BLAME,
    "abstention": ABSTENTION,
    "conversations": CONVERSATIONS,
    "repeats": REPEATS,
    "labels": HUMAN_LABELS,
    "judging": JUDGING,
}

SHARED = frozenset(
    {
        "system", "retriever", "metric", "status", "label", "metric_version", "judge_model", "finish_reason",
        "reused_from",
    }
)  # fmt: skip
"""Columns of which many rows have the same text."""

AUDIT = schema_of(
    "audit",
    column("kind", _STRING, "what kind of finding, such as id_twice; the page explains each"),
    column("severity", _STRING, "error: stops a run; warning: bends its results; note: worth knowing"),
    column("filter_value", _STRING, "the filter value it concerns; null if it concerns no single one", null=True),
    column("document_ids", pa.list_(_STRING), "the documents it is about"),
    column("question_ids", pa.list_(_STRING), "the ground-truth rows it is about, as in the questions of a run"),
    column("question", _STRING, "text of the question, where it is about one", null=True),
    column("rows", pa.list_(_STRING), "file and place of each row"),
    column("measure", _FLOAT, "the number behind it: a cosine, a share or a count; null if none", null=True),
    column("what", _STRING, "what was found, in a sentence"),
    column("fix", _STRING, "what can be done about it"),
)
GENERATED = schema_of(
    "generated",
    column("document_id", _STRING, "the document that the question was written from"),
    column("filter_value", _STRING, "what the document has in the column filter_by; empty without one"),
    column("number", _INT, "place of the question in the model's reply, from 1; 0 where there is no question"),
    column("question", _STRING, "the question; null where the reply holds none", null=True),
    column("status", _STRING, "kept; dropped by a filter; failed: no reply, or none that can be read"),
    column("reason", _STRING, "why it was dropped or failed; null if kept", null=True),
    column("detail", _STRING, "more on the reason: the other question, the judge's reason, the error", null=True),
    column("copied_share", _FLOAT, "share of its word triples found in the document; null below 3 words", null=True),
    column("copied_run", _INT, "most words in a row found in the document; null without a question", null=True),
    column("answerable", _STRING, "the check's verdict, YES or NO; null if it was not checked", null=True),
    column("model", _STRING, "name of the model that wrote it"),
    column("attempts", _INT, "requests sent for the document's questions; on its first row, else 0"),
    column("prompt_tokens", _INT, "of the document's reply, on its first row, else 0; null if unknown", null=True),
    column("completion_tokens", _INT, "of the document's reply, on its first row, else 0; null if unknown", null=True),
    column("cost_usd", _FLOAT, "US dollars of the document's reply, on its first row, else 0", null=True),
    column("check_attempts", _INT, "requests sent to check the question; 0 if it was not checked"),
    column("check_prompt_tokens", _INT, "of the check, 0 if it was not checked; null if unknown", null=True),
    column("check_completion_tokens", _INT, "of the check, 0 if it was not checked; null if unknown", null=True),
    column("check_cost_usd", _FLOAT, "US dollars of the check, 0 if it was not checked", null=True),
)


def relevant_ids(row: Mapping[str, Any], *, accept_alternates: bool = True) -> set[str]:
    """Return the ids of the documents that count as relevant for a question, given as a row of its table."""
    return {*row["relevant_ids"], *(row["alternate_ids"] if accept_alternates else ())}


def to_row(record: Document | Question | Retrieval | StoredAnswer | Score) -> dict[str, Any]:
    """Return a record as a flat row of its table."""
    row = {name: getattr(record, name) for name in record.__dataclass_fields__}
    if "usage" in row:
        row |= vars(row.pop("usage"))
    return row


def to_table(records: Iterable[Document | Question | Retrieval | StoredAnswer | Score], schema: pa.Schema) -> pa.Table:
    """Return records as a table of that schema.

    Raises:
        pyarrow.ArrowInvalid: If a record does not fit the schema, such as None in a column that has no nulls.
    """
    table = pa.Table.from_pylist([to_row(record) for record in records], schema=schema)
    table.validate(full=True)
    for described in schema:
        if not described.nullable and table[described.name].null_count:
            raise pa.ArrowInvalid(f"the column {described.name} holds null, which its schema does not allow")
    return table


def to_tables(records: Sequence[Document | Question], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield records as tables of that schema, some thousands of them at a time, for a file that is written in parts.

    Raises:
        pyarrow.ArrowInvalid: See `to_table`.
    """
    for start in range(0, len(records), _ROWS_AT_ONCE):
        yield to_table(records[start : start + _ROWS_AT_ONCE], schema)
