"""Feeds, webhooks and their attempts, the key of cursors, and the tables of events."""

import secrets

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from backbone.events import tables

revision = "0001"
down_revision = None


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "feeds",
        sa.Column("topic", sa.String(), primary_key=True),
        sa.Column("last_sequence", sa.BigInteger(), nullable=False),
        sa.Column("purged_sequence", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "feed_events",
        sa.Column("topic", sa.String(), primary_key=True),
        sa.Column("sequence", sa.BigInteger(), primary_key=True),
        sa.Column("event_id", sa.UUID(), nullable=False, unique=True),
        sa.Column("attributes", JSONB(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        _time("create_time"),
    )
    op.create_index("feed_events_by_time", "feed_events", ["topic", "time", "sequence"])
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.UUID(), primary_key=True),
        _text("client_id"),
        _text("topic"),
        _text("url"),
        _text("secret"),
        _text("previous_secret"),
        sa.Column("previous_expire_time", sa.DateTime(timezone=True)),
        sa.Column("disabled_cause", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("failed_tries", sa.Integer(), nullable=False),
        _time("next_try_time"),
        sa.Column("lease", sa.UUID()),
        sa.Column("lease_end_time", sa.DateTime(timezone=True)),
        _time("turn_time"),
        _time("create_time"),
    )
    op.create_index("webhooks_of_client", "webhooks", ["client_id", "create_time", "webhook_id"])
    op.create_index(
        "webhooks_by_turn",
        "webhooks",
        ["turn_time"],
        postgresql_where=sa.text("disabled_cause = 0"),
    )
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column(
            "webhook_id",
            sa.UUID(),
            sa.ForeignKey("webhooks.webhook_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("event_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("http_status", sa.Integer(), nullable=False),
        _text("outcome"),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        _time("create_time"),
    )
    op.create_index("attempts_of_webhook", "attempts", ["webhook_id", "attempt_id"])
    op.create_index("attempts_by_time", "attempts", ["create_time"])
    seal = op.create_table("seal", sa.Column("key", sa.LargeBinary(), primary_key=True))
    op.bulk_insert(seal, [{"key": secrets.token_bytes(32)}])
    tables.create(op.get_bind())
    tables.create_parked(op.get_bind())
