"""Versions of documents beside the one that is shown; when each is to be read again."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column(
        "documents", sa.Column("kind", sa.String(), nullable=False, server_default="document")
    )
    op.alter_column("documents", "kind", server_default=None)
    op.add_column(
        "documents",
        sa.Column(
            "version_of", sa.UUID(), sa.ForeignKey("documents.document_id", ondelete="CASCADE")
        ),
    )
    op.create_check_constraint(
        "documents_kinds", "documents", "(kind = 'version') = (version_of IS NOT NULL)"
    )
    op.create_index(
        "documents_versions",
        "documents",
        ["version_of"],
        postgresql_where=sa.text("version_of IS NOT NULL"),
    )
    # What is there are first versions, whose object has the document's name.
    op.add_column("documents", sa.Column("content_id", sa.UUID()))
    op.execute("UPDATE documents SET content_id = document_id")
    op.alter_column("documents", "content_id", nullable=False)
    op.create_index("documents_by_content", "documents", ["content_id"])
    op.add_column(
        "documents", sa.Column("version", sa.Integer(), nullable=False, server_default="1")
    )
    op.add_column(
        "documents", sa.Column("restored_from", sa.Integer(), nullable=False, server_default="0")
    )
    # The leaf of a receipt has it: that of the first version is the document's.
    op.add_column(
        "documents",
        sa.Column(
            "deposit_time",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
    )
    op.execute("UPDATE documents SET deposit_time = create_time")
    op.drop_index("documents_not_in_log", "documents")
    op.create_index(
        "documents_not_in_log",
        "documents",
        ["deposit_time", "document_id"],
        postgresql_where=sa.text("leaf_index IS NULL AND state = 'AVAILABLE'"),
    )
    # Their checks read them; those of before there were checks were hashed on the way.
    op.add_column(
        "documents",
        sa.Column(
            "verified_time",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
    )
    op.execute("UPDATE documents SET verified_time = create_time")
    op.add_column("documents", sa.Column("reread_time", sa.DateTime(timezone=True)))
    op.add_column("documents", sa.Column("damage_time", sa.DateTime(timezone=True)))
    op.create_index(
        "documents_to_verify",
        "documents",
        ["verified_time"],
        postgresql_where=sa.text("state = 'AVAILABLE'"),
    )
    op.create_index(
        "documents_damaged",
        "documents",
        ["content_id"],
        postgresql_where=sa.text("damage_time IS NOT NULL"),
    )
    # What a document shows is looked at, and no other version of it.
    op.drop_index("documents_to_index", "documents")
    op.create_index(
        "documents_to_index",
        "documents",
        ["index_time"],
        postgresql_where=sa.text(
            "index_time IS NOT NULL AND state = 'AVAILABLE' AND kind = 'document'"
        ),
    )
    op.add_column("uploads", sa.Column("version_of", sa.UUID()))
