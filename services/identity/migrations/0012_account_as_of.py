"""Since when what is known of an account is what the realm said."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column(
        "accounts",
        # Of those from before nobody knows: whatever comes is newer.
        sa.Column(
            "as_of", sa.DateTime(timezone=True), nullable=False, server_default="1970-01-01T00:00Z"
        ),
    )
