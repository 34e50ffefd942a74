"""What has nothing to read is found by its name, without being fetched."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column(
        "documents",
        sa.Column("to_read", sa.Boolean(), nullable=False, server_default=sa.true()),
    )
