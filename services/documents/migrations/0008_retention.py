"""For how long documents are kept: retention, legal holds, the trash, what proves destructions."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(name, "documents", columns, postgresql_where=sa.text(where))


def upgrade() -> None:
    op.add_column(
        "documents",
        sa.Column("retention_class", sa.String(63), nullable=False, server_default=""),
    )
    op.add_column("documents", _time("retain_until", nullable=True))
    op.add_column("documents", _time("purge_time", nullable=True))
    for name in ("retention_ended", "lock_pending"):
        op.add_column(
            "documents", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )
    op.add_column("documents", sa.Column("holds", sa.Integer(), nullable=False, server_default="0"))
    op.create_check_constraint("documents_holds", "documents", "holds >= 0")
    _index("documents_in_trash", ["purge_time"], "purge_time IS NOT NULL")
    _index(
        "documents_retained",
        ["retain_until"],
        "retain_until IS NOT NULL AND NOT retention_ended",
    )
    _index("documents_to_lock", ["document_id"], "lock_pending")
    _index("documents_held", ["owner_id"], "holds > 0")
    op.create_table(
        "legal_holds",
        sa.Column("hold_id", sa.UUID(), primary_key=True),
        sa.Column(
            "document_id",
            sa.UUID(),
            sa.ForeignKey("documents.document_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("placed_by", sa.String(255), nullable=False),
        sa.Column(
            "place_time",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
        _time("release_time", nullable=True),
        sa.Column("released_by", sa.String(255), nullable=False, server_default=""),
    )
    op.create_index("legal_holds_of_document", "legal_holds", ["document_id", "place_time"])
    op.create_table(
        "destructions",
        sa.Column("document_id", sa.UUID(), primary_key=True),
        sa.Column("owner_id", sa.UUID(), nullable=False),
        _time("destroy_time"),
        sa.Column("certificate", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
    )
    op.create_index("destructions_of_owner", "destructions", ["owner_id", "destroy_time"])
    op.create_table(
        "locked_objects",
        sa.Column("object_id", sa.UUID(), primary_key=True),
        _time("delete_time"),
    )
    op.create_index("locked_objects_by_time", "locked_objects", ["delete_time"])
    # Of an erasure: certificates that went; documents that a legal hold keeps, once that was told;
    # objects that a lock keeps.
    for name in ("destructions", "held", "locked"):
        op.add_column(
            "vault_erasures", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )
    op.add_column("vault_erasures", _time("locked_until", nullable=True))
