"""Deposits that go straight to the object store, and wait in the quarantine."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("document_id", sa.UUID(), primary_key=True),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(127), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("uploads_by_end", "uploads", ["expire_time"])
    op.create_index("uploads_by_owner", "uploads", ["owner_id"])
    # Its bytes are in the quarantine still.
    op.add_column(
        "documents",
        sa.Column("quarantined", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
