"""Folders, labels and metadata; the blind search index and its keys; previews."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR

revision = "0009"
down_revision = "0008"


def _document_id() -> sa.Column[object]:
    # What is derived from a document goes with it, whatever removes it.
    reference = sa.ForeignKey("documents.document_id", ondelete="CASCADE")
    return sa.Column("document_id", sa.UUID(), reference, primary_key=True)


def upgrade() -> None:
    for column in (
        sa.Column("folder", sa.String(), nullable=False, server_default=""),
        sa.Column("labels", sa.ARRAY(sa.String()), nullable=False, server_default="{}"),
        sa.Column("metadata", JSONB(), nullable=False, server_default="{}"),
        # What is there is due as well.
        sa.Column("index_time", sa.DateTime(timezone=True), server_default=sa.func.now()),
        sa.Column("index_tries", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("documents", column)
    op.create_index("documents_by_folder", "documents", ["owner_id", "folder"])
    op.create_index(
        "documents_to_index",
        "documents",
        ["index_time"],
        postgresql_where=sa.text("index_time IS NOT NULL AND state = 'AVAILABLE'"),
    )
    op.create_table(
        "search_keys",
        sa.Column("owner_id", sa.UUID(), primary_key=True),
        sa.Column("owner_key_id", sa.UUID(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "search_entries",
        _document_id(),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lexemes", TSVECTOR(), nullable=False),
    )
    # An owner's lexemes are theirs alone: no index needs the owner beside them.
    op.create_index(
        "search_entries_by_lexeme", "search_entries", ["lexemes"], postgresql_using="gin"
    )
    op.create_index(
        "search_entries_by_owner", "search_entries", ["owner_id", "create_time", "document_id"]
    )
    op.create_table(
        "previews", _document_id(), sa.Column("sealed", sa.LargeBinary(), nullable=False)
    )
    # Neither can be compressed.
    op.execute("ALTER TABLE previews ALTER COLUMN sealed SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE search_entries ALTER COLUMN lexemes SET STORAGE EXTERNAL")
