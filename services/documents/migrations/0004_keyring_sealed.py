"""Contents are sealed by the vault; what is heard of their owners' keys."""

import sqlalchemy as sa
from alembic import op

from backbone.settings import ConfigurationError

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Never released without: contents in plain have no second way to be read by.
    if op.get_bind().scalar(sa.text("SELECT EXISTS (SELECT FROM documents)")):
        raise ConfigurationError(
            "documents: deposits of before the vault sealed them are there; export them, empty the"
            " database and the bucket (`make reset` on a development machine), deposit them again"
        )
    # Without a value while the bytes are not in the vault yet.
    op.add_column("documents", sa.Column("owner_key_id", sa.UUID()))
    op.add_column("documents", sa.Column("sealed_key", sa.LargeBinary()))
    op.create_table(
        "key_changes",
        sa.Column("owner_id", sa.UUID(), primary_key=True),
        sa.Column("key_id", sa.UUID(), nullable=True),
        sa.Column("change_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
    )
    op.create_index("key_changes_by_time", "key_changes", ["change_time"])
