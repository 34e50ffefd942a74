"""Consents, with their signed records."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "consents",
        sa.Column("consent_id", sa.UUID(), primary_key=True),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("administration", sa.String(63), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.String(63)), nullable=False),
        _time("expire_time"),
        _time("create_time"),
        _time("revoke_time", nullable=True),
        sa.Column("grant_record", sa.String(), nullable=False),
        sa.Column("revocation_record", sa.String(), nullable=False),
    )
    op.create_index("consents_of_person", "consents", ["account_id", "create_time", "consent_id"])
