"""Erasures."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("erasure_id", sa.UUID(), primary_key=True),
        sa.Column("account_id", sa.UUID()),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("cancel_digest", sa.LargeBinary(), nullable=False),
        _time("create_time"),
        _time("due_time"),
        sa.Column("parts", JSONB(), nullable=False),
        sa.Column("certificate", sa.String(), nullable=False),
    )
    # One at a time for an account; and those that are not over, by their time.
    op.create_index(
        "erasures_ahead",
        "erasures",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("state IN (1, 2)"),
    )
    op.create_index(
        "erasures_by_time",
        "erasures",
        ["state", "due_time"],
        postgresql_where=sa.text("state IN (1, 2)"),
    )
