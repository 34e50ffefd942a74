"""Mandates."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "mandates",
        sa.Column("mandate_id", sa.UUID(), primary_key=True),
        sa.Column("principal_id", sa.UUID(), nullable=False),
        sa.Column("representative_id", sa.UUID(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.String(63)), nullable=False),
        _time("start_time"),
        _time("expire_time"),
        _time("create_time"),
        _time("accept_time", nullable=True),
        _time("end_time", nullable=True),
        sa.Column("ended_by", sa.UUID(), nullable=True),
        sa.CheckConstraint("principal_id <> representative_id", name="not_to_oneself"),
    )
    for side in ("principal", "representative"):
        op.create_index(
            f"mandates_of_{side}", "mandates", [f"{side}_id", "create_time", "mandate_id"]
        )
