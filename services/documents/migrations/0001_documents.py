"""Documents, their shares, and the tables of events."""

import sqlalchemy as sa
from alembic import op

from backbone.events import tables

revision = "0001"
down_revision = None


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("document_id", sa.UUID(), primary_key=True),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(127), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        _time("create_time"),
    )
    op.create_index("documents_by_owner", "documents", ["owner_id", "create_time", "document_id"])
    op.create_table(
        "shares",
        sa.Column("share_id", sa.UUID(), primary_key=True),
        sa.Column("document_id", sa.UUID(), sa.ForeignKey("documents.document_id"), nullable=False),
        sa.Column("administration", sa.String(63), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False),
        _time("create_time"),
        sa.UniqueConstraint("document_id", "administration"),
    )
    tables.create(op.get_bind())
