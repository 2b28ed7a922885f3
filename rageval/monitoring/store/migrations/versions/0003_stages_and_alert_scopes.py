"""What an alert's rule is about, and the seconds of each stage in the index that dashboards count from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_COUNTED = ["course", "model", "status", "latency_bucket", "cost_usd", "prompt_tokens", "completion_tokens"]
_STAGES = ["search_s", "model_s", "total_s"]


def upgrade() -> None:
    """Add the columns, and make the index anew."""
    # Nobody noted what the rules of the alerts that are there were about: they count for all.
    op.add_column(
        "alerts",
        sa.Column(
            "course",
            sa.String(length=200),
            nullable=False,
            server_default="",
            comment="The course that the rule is about; empty for all",
        ),
    )
    op.add_column(
        "alerts",
        sa.Column(
            "model",
            sa.String(length=200),
            nullable=False,
            server_default="",
            comment="The answering model that the rule is about; empty for all",
        ),
    )
    _make_index([*_COUNTED, *_STAGES])


def downgrade() -> None:
    """Remove them, and make the index as it was."""
    op.drop_column("alerts", "model")
    op.drop_column("alerts", "course")
    _make_index(_COUNTED)


def _make_index(included: list[str]) -> None:
    op.drop_index(op.f("ix_conversations_asked_at"), table_name="conversations")
    op.create_index(op.f("ix_conversations_asked_at"), "conversations", ["asked_at"], postgresql_include=included)
