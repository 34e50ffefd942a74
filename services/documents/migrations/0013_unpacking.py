"""Archives whose files become documents of their own."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("documents", sa.Column("unpacked_from", sa.UUID()))
    op.create_table(
        "unpackings",
        sa.Column(
            "document_id",
            sa.UUID(),
            sa.ForeignKey("documents.document_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("content_id", sa.UUID(), nullable=False),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("payer", sa.String(), nullable=False),
        sa.Column("folder", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column(
            "create_time",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
        sa.Column("end_time", sa.DateTime(timezone=True)),
        sa.Column(
            "next_time", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("traceparent", sa.String(), nullable=False),
    )
    op.create_index(
        "unpackings_running",
        "unpackings",
        ["next_time"],
        postgresql_where=sa.text("state = 'RUNNING'"),
    )
    op.create_table(
        "unpacked_entries",
        sa.Column(
            "archive_id",
            sa.UUID(),
            sa.ForeignKey("unpackings.document_id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("entry", sa.Integer(), primary_key=True),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("document_id", sa.UUID()),
        sa.Column("problem", sa.String()),
        sa.CheckConstraint(
            "(document_id IS NULL) <> (problem IS NULL)", name="unpacked_entries_outcome"
        ),
    )
