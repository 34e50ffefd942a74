"""Inboxes, e-mails to send, and the tables of events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from backbone.events import tables

revision = "0001"
down_revision = None


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def upgrade() -> None:
    op.create_table(
        "inboxes",
        sa.Column("account_id", sa.UUID(), primary_key=True),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "entries",
        sa.Column("account_id", sa.UUID(), primary_key=True),
        sa.Column("sequence", sa.BigInteger(), primary_key=True),
        sa.Column("entry_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("parameters", JSONB(), nullable=False),
        sa.Column("entity_id", sa.String(), nullable=False),
        _time("create_time"),
    )
    op.create_table(
        "deliveries",
        sa.Column("delivery_id", sa.UUID(), primary_key=True),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("parameters", JSONB(), nullable=False),
        sa.Column("traceparent", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _time("next_attempt_time"),
        _time("create_time"),
    )
    op.create_index(
        "deliveries_due",
        "deliveries",
        ["next_attempt_time"],
        postgresql_where=sa.text("state = 'pending'"),
    )
    tables.create(op.get_bind())
