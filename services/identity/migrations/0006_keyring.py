"""The keyring."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "keyrings",
        sa.Column("owner_id", sa.UUID(), primary_key=True),
        sa.Column("destroy_time", sa.DateTime(timezone=True), nullable=True),
    )
    op.create_table(
        "owner_keys",
        sa.Column("key_id", sa.UUID(), primary_key=True),
        sa.Column("owner_id", sa.UUID(), sa.ForeignKey("keyrings.owner_id"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("master", sa.String(16), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column(
            "create_time", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.UniqueConstraint("owner_id", "version"),
    )
    op.create_index("owner_keys_by_master", "owner_keys", ["master", "key_id"])
