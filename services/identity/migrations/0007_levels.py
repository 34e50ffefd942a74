"""Levels that agents raised, with what they saw."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "level_records",
        sa.Column("record_id", sa.UUID(), primary_key=True),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("piece", sa.SmallInteger(), nullable=False),
        sa.Column("administration", sa.String(63), nullable=False),
        sa.Column("agent_id", sa.UUID(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index(
        "level_records_of_person", "level_records", ["account_id", "create_time", "record_id"]
    )
