"""Exports of what is held about a person; documents that are destroyed by themselves."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    default = None if nullable else sa.func.now()
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable, server_default=default)


def upgrade() -> None:
    op.add_column("documents", _time("expire_time", nullable=True))
    op.create_index(
        "documents_that_expire",
        "documents",
        ["expire_time"],
        postgresql_where=sa.text("expire_time IS NOT NULL"),
    )
    op.create_table(
        "exports",
        sa.Column("export_id", sa.UUID(), primary_key=True),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("parts", JSONB(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        _time("next_attempt_time"),
        _time("create_time"),
        sa.Column("document_id", sa.UUID()),
        _time("expire_time", nullable=True),
    )
    op.create_index("exports_of_person", "exports", ["account_id", "create_time"])
    # One at a time is gathered for a person.
    op.create_index(
        "exports_gathered",
        "exports",
        ["account_id"],
        unique=True,
        postgresql_where=sa.text("state = 'gathering'"),
    )
