"""A deposit is checked before it can be read."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    # What is there was taken before there were checks, and read since: it stays available.
    op.add_column(
        "documents", sa.Column("state", sa.String(), nullable=False, server_default="AVAILABLE")
    )
    op.alter_column("documents", "state", server_default=None)
    for name in ("refusal", "traceparent"):
        op.add_column("documents", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.add_column(
        "documents",
        sa.Column("remarks", sa.ARRAY(sa.String()), nullable=False, server_default="{}"),
    )
    op.add_column(
        "documents",
        sa.Column(
            "check_time",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
    )
    for name in ("check_tries", "check_failures"):
        op.add_column(
            "documents", sa.Column(name, sa.Integer(), nullable=False, server_default="0")
        )
    op.create_index(
        "documents_to_check",
        "documents",
        ["check_time"],
        postgresql_where=sa.text("state = 'CHECKING'"),
    )
    op.drop_index("documents_not_in_log", "documents")
    op.create_index(
        "documents_not_in_log",
        "documents",
        ["create_time", "document_id"],
        postgresql_where=sa.text("leaf_index IS NULL AND state = 'AVAILABLE'"),
    )
