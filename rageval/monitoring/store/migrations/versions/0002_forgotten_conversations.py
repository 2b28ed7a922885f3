"""Ids of conversations that were deleted on request."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the table."""
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


def downgrade() -> None:
    """Remove it."""
    op.drop_table("forgotten")
