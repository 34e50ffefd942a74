"""Mandates of companies, and who offered a mandate."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column(
        "mandates",
        # Those from before are of persons.
        sa.Column("principal_kind", sa.SmallInteger(), nullable=False, server_default="1"),
    )
    op.add_column("mandates", sa.Column("offered_by", sa.UUID(), nullable=True))
