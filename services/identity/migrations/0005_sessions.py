"""What was ordered about access, what the realm told, and how far its logs were read."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "access_orders",
        sa.Column("order_id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("action", sa.SmallInteger(), nullable=False),
        sa.Column("subject_id", sa.String(255), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=True),
        sa.Column("ordered_by", sa.UUID(), nullable=False),
        _time("create_time"),
        _time("next_time"),
        _time("done_time", nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
    )
    op.create_index(
        "access_orders_to_do",
        "access_orders",
        ["subject_id", "order_id"],
        postgresql_where=sa.text("done_time IS NULL"),
    )
    op.create_index("access_orders_of_account", "access_orders", ["account_id"])
    op.create_table(
        "realm_events",
        sa.Column("event_id", sa.UUID(), primary_key=True),
        sa.Column("stream", sa.String(16), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        _time("time"),
        sa.Column("account_id", sa.UUID(), nullable=True),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("error", sa.String(255), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False),
    )
    op.create_index("realm_events_of_person", "realm_events", ["account_id", "time", "event_id"])
    op.create_index("realm_events_by_time", "realm_events", ["stream", "time"])
    cursors = op.create_table(
        "realm_cursors",
        sa.Column("stream", sa.String(16), primary_key=True),
        _time("read_until"),
    )
    # From now on: what the realm did before nobody was promised.
    for stream in ("events", "admin-events"):
        op.execute(cursors.insert().values(stream=stream, read_until=sa.func.now()))
