"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "alerts",
        sa.Column("rule", sa.String(length=100), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("bound", sa.Float(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False, comment="Conversations or verdicts that the value is of"),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column(
            "filter_value",
            sa.String(length=200),
            nullable=False,
            comment="Value of data.filter_by that the rule is about; empty for all",
        ),
        sa.Column(
            "system",
            sa.String(length=200),
            nullable=False,
            comment="The system that the rule is about; empty for all",
        ),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "sent_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="When a notification was sent; null if none was",
        ),
        sa.PrimaryKeyConstraint("rule", "window_start", name=op.f("pk_alerts")),
    )
    op.create_table(
        "conversations",
        sa.Column(
            "conversation_id",
            sa.String(length=36),
            nullable=False,
            comment="UUID; the client may choose it, so that a replayed request is known",
        ),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False, comment="When the question came in, UTC"),
        sa.Column(
            "filter_value",
            sa.String(length=200),
            nullable=False,
            comment="Value of the column data.filter_by that the search was restricted to; empty for none",
        ),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False, comment="ok, or failed"),
        sa.Column("answer", sa.Text(), nullable=True, comment="Null if it failed"),
        sa.Column("error", sa.Text(), nullable=True, comment="Why it failed; never holds a key"),
        sa.Column("system", sa.String(length=200), nullable=False, comment="Name of the system that answered"),
        sa.Column("model", sa.String(length=200), nullable=False, comment="Label of the model that it was made of"),
        sa.Column(
            "retriever", sa.String(length=200), nullable=False, comment="Name of the retriever that it was made of"
        ),
        sa.Column(
            "prompt_version", sa.String(length=40), nullable=False, comment="Beginning of the hash of its prompt"
        ),
        sa.Column(
            "contexts",
            sa.JSON(),
            nullable=False,
            comment="What the model was shown, best first: list of {document_id, score, section, question, text}",
        ),
        sa.Column(
            "top_score", sa.Float(), nullable=True, comment="Score of the best context; null if nothing was found"
        ),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("completion_tokens", sa.Integer(), nullable=True),
        sa.Column("cost_usd", sa.Float(), nullable=True, comment="Null if the price is unknown; never 0 for that"),
        sa.Column("search_s", sa.Float(), nullable=True, comment="Seconds of embedding the question and searching"),
        sa.Column("model_s", sa.Float(), nullable=True, comment="Seconds of the model, waits for limits included"),
        sa.Column("total_s", sa.Float(), nullable=False, comment="Seconds from request to the last byte of the answer"),
        sa.Column(
            "latency_bucket",
            sa.SmallInteger(),
            nullable=False,
            comment="total_s in steps of a tenth more each: see rageval.monitoring.buckets",
        ),
        sa.Column("trace_id", sa.String(length=32), nullable=True, comment="OpenTelemetry trace, if there is one"),
        sa.Column("source", sa.String(length=20), nullable=False, comment="chat, or simulated"),
        sa.CheckConstraint("status in ('ok', 'failed')", name=op.f("ck_conversations_status")),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_conversations")),
    )
    op.create_index(
        op.f("ix_conversations_asked_at"),
        "conversations",
        ["asked_at"],
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
    )
    op.create_table(
        "forgotten",
        sa.Column(
            "conversation_id",
            sa.String(length=36),
            nullable=False,
            comment="Nothing of that id is stored any more",
        ),
        sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_forgotten")),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(length=100), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False, comment="complete, or incomplete"),
        sa.Column("filter_value", sa.String(length=200), nullable=False, comment="Value of data.only; empty for all"),
        sa.Column("questions", sa.Integer(), nullable=False),
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.Column("wall_s", sa.Float(), nullable=True),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
    )
    op.create_index(op.f("ix_runs_started_at"), "runs", ["started_at"])
    op.create_table(
        "topics",
        sa.Column("topic", sa.String(length=40), nullable=False, comment="Id: version and number"),
        sa.Column("version", sa.String(length=40), nullable=False, comment="Changes when the clusters are made anew"),
        sa.Column("title", sa.Text(), nullable=False, comment="The most typical question"),
        sa.Column("centre", sa.JSON(), nullable=False, comment="Unit vector"),
        sa.Column("embedding_model", sa.String(length=200), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("topic", name=op.f("pk_topics")),
    )
    op.create_table(
        "evaluations",
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column(
            "metric",
            sa.String(length=40),
            nullable=False,
            comment="What a judge was asked about; language; topic",
        ),
        sa.Column("metric_version", sa.String(length=40), nullable=False),
        sa.Column(
            "judge",
            sa.String(length=200),
            nullable=False,
            comment="Label of the judging model; empty for metrics without one",
        ),
        sa.Column(
            "status",
            sa.String(length=10),
            nullable=False,
            comment="ok, unscored (a reply that is no verdict), or failed",
        ),
        sa.Column("value", sa.Float(), nullable=True, comment="0 to 1; null for labels without one"),
        sa.Column(
            "label",
            sa.String(length=200),
            nullable=True,
            comment="A label of the metric, such as RELEVANT; a language code; a topic's id",
        ),
        sa.Column("reason", sa.Text(), nullable=True, comment="The judge's words"),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("cost_usd", sa.Float(), nullable=True),
        sa.Column(
            "asked_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Time of the conversation, so that panels need no join",
        ),
        sa.Column("filter_value", sa.String(length=200), nullable=False, comment="As in conversations"),
        sa.Column("system", sa.String(length=200), nullable=False, comment="What answered, as in conversations"),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("status in ('ok', 'unscored', 'failed')", name=op.f("ck_evaluations_status")),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.conversation_id"],
            name=op.f("fk_evaluations_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("conversation_id", "metric", "metric_version", "judge", name=op.f("pk_evaluations")),
    )
    op.create_index(
        op.f("ix_evaluations_metric_asked_at"),
        "evaluations",
        ["metric", "asked_at"],
        postgresql_include=["system", "filter_value", "metric_version", "judge", "status", "label", "conversation_id"],
    )
    op.create_table(
        "feedback",
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False, comment="user, or judge"),
        sa.Column("voter", sa.String(length=64), nullable=False, comment="Hash of the user's id, or the judge's label"),
        sa.Column("thumbs", sa.SmallInteger(), nullable=False, comment="1 up, -1 down"),
        sa.Column("comment", sa.Text(), nullable=True, comment="Free text"),
        sa.Column("label", sa.String(length=40), nullable=True, comment="A reason chosen from a list"),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False, comment="Time of the latest change, UTC"),
        sa.Column(
            "asked_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="Time of the conversation, so that panels need no join",
        ),
        sa.Column("filter_value", sa.String(length=200), nullable=False, comment="As in conversations"),
        sa.Column("system", sa.String(length=200), nullable=False, comment="What answered, as in conversations"),
        sa.CheckConstraint("source in ('user', 'judge')", name=op.f("ck_feedback_source")),
        sa.CheckConstraint("thumbs in (1, -1)", name=op.f("ck_feedback_thumbs")),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.conversation_id"],
            name=op.f("fk_feedback_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("conversation_id", "source", "voter", name=op.f("pk_feedback")),
    )
    op.create_index(
        op.f("ix_feedback_asked_at"),
        "feedback",
        ["asked_at"],
        postgresql_include=["system", "filter_value", "source", "thumbs", "conversation_id"],
    )
    op.create_table(
        "reviews",
        sa.Column("conversation_id", sa.String(length=36), nullable=False),
        sa.Column("decision", sa.String(length=10), nullable=False, comment="accepted, or dismissed"),
        sa.Column("question", sa.Text(), nullable=True, comment="As accepted into the ground truth"),
        sa.Column("document_ids", sa.JSON(), nullable=True, comment="The right documents, best first"),
        sa.Column("ground_truth", sa.Text(), nullable=True, comment="File of the version that it was written to"),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("decision in ('accepted', 'dismissed')", name=op.f("ck_reviews_decision")),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversations.conversation_id"],
            name=op.f("fk_reviews_conversation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_reviews")),
    )
    op.create_table(
        "run_metrics",
        sa.Column("run_id", sa.String(length=100), nullable=False),
        sa.Column("system", sa.String(length=200), nullable=False, comment="Empty for retrieval metrics"),
        sa.Column("retriever", sa.String(length=200), nullable=False, comment="Empty for metrics of answers"),
        sa.Column("metric", sa.String(length=100), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("n_scored", sa.Integer(), nullable=False),
        sa.Column("n_failed", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Float(), nullable=True),
        sa.Column("ci_low", sa.Float(), nullable=True),
        sa.Column("ci_high", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_run_metrics_run_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "system", "retriever", "metric", name=op.f("pk_run_metrics")),
    )

    if op.get_bind().dialect.name == "postgresql":
        for statement in _STATISTICS:
            op.execute(statement)


# Without them Postgres takes every row for a step of time of its own, and sorts a million of them on disk. The steps
# are those of rageval.monitoring.figures.STEPS_S, counted from Monday, 2000-01-03, as the panels do.
_STATISTICS = (
    """
    create statistics conversations_steps (ndistinct) on
      (date_bin(make_interval(secs => 3600), asked_at, to_timestamp(946857600))),
      (date_bin(make_interval(secs => 86400), asked_at, to_timestamp(946857600))),
      (date_bin(make_interval(secs => 604800), asked_at, to_timestamp(946857600)))
    from conversations
    """,
    """
    create statistics evaluations_steps (ndistinct) on
      (date_bin(make_interval(secs => 3600), asked_at, to_timestamp(946857600))),
      (date_bin(make_interval(secs => 86400), asked_at, to_timestamp(946857600))),
      (date_bin(make_interval(secs => 604800), asked_at, to_timestamp(946857600)))
    from evaluations
    """,
    """
    create statistics feedback_steps (ndistinct) on
      (date_bin(make_interval(secs => 3600), asked_at, to_timestamp(946857600))),
      (date_bin(make_interval(secs => 86400), asked_at, to_timestamp(946857600))),
      (date_bin(make_interval(secs => 604800), asked_at, to_timestamp(946857600)))
    from feedback
    """,
)


def downgrade() -> None:
    """Remove them."""
    op.drop_table("run_metrics")
    op.drop_table("reviews")
    op.drop_table("feedback")
    op.drop_table("evaluations")
    op.drop_table("topics")
    op.drop_table("runs")
    op.drop_table("forgotten")
    op.drop_table("conversations")
    op.drop_table("alerts")
