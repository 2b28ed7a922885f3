"""The tables of the monitoring database, the same on SQLite and Postgres.

    conversations  one row a question that was asked, with its answer or the error that stands for it
    feedback       what people think of an answer: one vote a voter and conversation, the latest one
    forgotten      conversations that were deleted on request, by their ids alone, so that none of them comes back
    evaluations    what a judge, a classifier or a cluster says of a conversation: one row a metric, version and judge
    topics         clusters of questions: the typical question that names each, and its centre
    reviews        what a person decided about a conversation that went badly
    runs           offline runs, published from their folders, and `run_metrics`, the rows of their summaries
    alerts         rules that a window of time has broken, one row a rule and window

Times are UTC. A conversation takes everything about it along when it is deleted. The columns that an index includes
are those that dashboards count, so that a million rows are counted without being read.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    TypeDecorator,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime in UTC; SQLite keeps it without the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return what the database stores."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the time with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _of_conversation(**options: Any) -> Column[str]:
    return Column(
        "conversation_id", String(36), ForeignKey("conversations.conversation_id", ondelete="CASCADE"), **options
    )


CONVERSATIONS = Table(
    "conversations",
    METADATA,
    Column(
        "conversation_id",
        String(36),
        primary_key=True,
        comment="UUID; the client may choose it, so that a replayed request is known",
    ),
    Column("asked_at", UtcTime, nullable=False, comment="When the question came in, UTC"),
    Column(
        "filter_value",
        String(200),
        nullable=False,
        comment="Value of the column data.filter_by that the search was restricted to; empty for none",
    ),
    Column("question", Text, nullable=False),
    Column("status", String(10), nullable=False, comment="ok, or failed"),
    Column("answer", Text, comment="Null if it failed"),
    Column("error", Text, comment="Why it failed; never holds a key"),
    Column("system", String(200), nullable=False, comment="Name of the system that answered"),
    Column("model", String(200), nullable=False, comment="Label of the model that it was made of"),
    Column("retriever", String(200), nullable=False, comment="Name of the retriever that it was made of"),
    Column("prompt_version", String(40), nullable=False, comment="Beginning of the hash of its prompt"),
    Column(
        "contexts",
        JSON,
        nullable=False,
        comment="What the model was shown, best first: list of {document_id, score, section, question, text}",
    ),
    Column("top_score", Float, comment="Score of the best context; null if nothing was found"),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cost_usd", Float, comment="Null if the price is unknown; never 0 for that"),
    Column("search_s", Float, comment="Seconds of embedding the question and searching"),
    Column("model_s", Float, comment="Seconds of the model, waits for limits included"),
    Column("total_s", Float, nullable=False, comment="Seconds from request to the last byte of the answer"),
    Column(
        "latency_bucket",
        SmallInteger,
        nullable=False,
        comment="total_s in steps of a tenth more each: see rageval.monitoring.buckets",
    ),
    Column("trace_id", String(32), comment="OpenTelemetry trace, if there is one"),
    Column("source", String(20), nullable=False, comment="chat, or simulated"),
    CheckConstraint("status in ('ok', 'failed')", name="status"),
    Index(
        None,
        "asked_at",
        postgresql_include=[
            "system",
            "filter_value",
            "status",
            "latency_bucket",
            "cost_usd",
            "prompt_tokens",
            "completion_tokens",
            "search_s",
            "model_s",
            "total_s",
        ],
    ),
)

FEEDBACK = Table(
    "feedback",
    METADATA,
    _of_conversation(primary_key=True),
    Column("source", String(10), primary_key=True, comment="user, or judge"),
    Column("voter", String(64), primary_key=True, comment="Hash of the user's id, or the judge's label"),
    Column("thumbs", SmallInteger, nullable=False, comment="1 up, -1 down"),
    Column("comment", Text, comment="Free text"),
    Column("label", String(40), comment="A reason chosen from a list"),
    Column("given_at", UtcTime, nullable=False, comment="Time of the latest change, UTC"),
    Column("asked_at", UtcTime, nullable=False, comment="Time of the conversation, so that panels need no join"),
    Column("filter_value", String(200), nullable=False, comment="As in conversations"),
    Column("system", String(200), nullable=False, comment="What answered, as in conversations"),
    CheckConstraint("thumbs in (1, -1)", name="thumbs"),
    CheckConstraint("source in ('user', 'judge')", name="source"),
    Index(None, "asked_at", postgresql_include=["system", "filter_value", "source", "thumbs", "conversation_id"]),
)

FORGOTTEN = Table(
    "forgotten",
    METADATA,
    Column("conversation_id", String(36), primary_key=True, comment="Nothing of that id is stored any more"),
    Column("forgotten_at", UtcTime, nullable=False),
)

EVALUATIONS = Table(
    "evaluations",
    METADATA,
    _of_conversation(primary_key=True),
    Column("metric", String(40), primary_key=True, comment="What a judge was asked about; language; topic"),
    Column("metric_version", String(40), primary_key=True),
    Column("judge", String(200), primary_key=True, comment="Label of the judging model; empty for metrics without one"),
    Column("status", String(10), nullable=False, comment="ok, unscored (a reply that is no verdict), or failed"),
    Column("value", Float, comment="0 to 1; null for labels without one"),
    Column("label", String(200), comment="A label of the metric, such as RELEVANT; a language code; a topic's id"),
    Column("reason", Text, comment="The judge's words"),
    Column("error", Text),
    Column("cost_usd", Float),
    Column("asked_at", UtcTime, nullable=False, comment="Time of the conversation, so that panels need no join"),
    Column("filter_value", String(200), nullable=False, comment="As in conversations"),
    Column("system", String(200), nullable=False, comment="What answered, as in conversations"),
    Column("evaluated_at", UtcTime, nullable=False),
    CheckConstraint("status in ('ok', 'unscored', 'failed')", name="status"),
    Index(
        None,
        "metric",
        "asked_at",
        postgresql_include=["system", "filter_value", "metric_version", "judge", "status", "label", "conversation_id"],
    ),
)

TOPICS = Table(
    "topics",
    METADATA,
    Column("topic", String(40), primary_key=True, comment="Id: version and number"),
    Column("version", String(40), nullable=False, comment="Changes when the clusters are made anew"),
    Column("title", Text, nullable=False, comment="The most typical question"),
    Column("centre", JSON, nullable=False, comment="Unit vector"),
    Column("embedding_model", String(200), nullable=False),
    Column("made_at", UtcTime, nullable=False),
)

REVIEWS = Table(
    "reviews",
    METADATA,
    _of_conversation(primary_key=True),
    Column("decision", String(10), nullable=False, comment="accepted, or dismissed"),
    Column("question", Text, comment="As accepted into the ground truth"),
    Column("document_ids", JSON, comment="The right documents, best first"),
    Column("ground_truth", Text, comment="File of the version that it was written to"),
    Column("reviewed_at", UtcTime, nullable=False),
    CheckConstraint("decision in ('accepted', 'dismissed')", name="decision"),
)

RUNS = Table(
    "runs",
    METADATA,
    Column("run_id", String(100), primary_key=True),
    Column("started_at", UtcTime, nullable=False),
    Column("status", String(20), nullable=False, comment="complete, or incomplete"),
    Column("filter_value", String(200), nullable=False, comment="Value of data.only; empty for all"),
    Column("questions", Integer, nullable=False),
    Column("cost_usd", Float),
    Column("wall_s", Float),
    Column("folder", Text, nullable=False),
    Column("published_at", UtcTime, nullable=False),
    Index(None, "started_at"),
)

RUN_METRICS = Table(
    "run_metrics",
    METADATA,
    Column("run_id", String(100), ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True),
    Column("system", String(200), primary_key=True, comment="Empty for retrieval metrics"),
    Column("retriever", String(200), primary_key=True, comment="Empty for metrics of answers"),
    Column("metric", String(100), primary_key=True),
    Column("n", Integer, nullable=False),
    Column("n_scored", Integer, nullable=False),
    Column("n_failed", Integer, nullable=False),
    Column("mean", Float),
    Column("ci_low", Float),
    Column("ci_high", Float),
)

ALERTS = Table(
    "alerts",
    METADATA,
    Column("rule", String(100), primary_key=True),
    Column("window_start", UtcTime, primary_key=True),
    Column("window_end", UtcTime, nullable=False),
    Column("value", Float, nullable=False),
    Column("bound", Float, nullable=False),
    Column("n", Integer, nullable=False, comment="Conversations or verdicts that the value is of"),
    Column("message", Text, nullable=False),
    Column(
        "filter_value",
        String(200),
        nullable=False,
        comment="Value of data.filter_by that the rule is about; empty for all",
    ),
    Column(
        "system",
        String(200),
        nullable=False,
        comment="The system that the rule is about; empty for all",
    ),
    Column("raised_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime, comment="When a notification was sent; null if none was"),
)
