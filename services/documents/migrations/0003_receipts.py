"""The log of deposits: its nodes, its checkpoints, their time stamps; never changed once there."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

APPEND_ONLY = ("log_nodes", "log_checkpoints", "log_time_stamps")


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def upgrade() -> None:
    # A deposit without its place waits for it: those of before this migration too.
    op.add_column("documents", sa.Column("leaf_index", sa.BigInteger()))
    op.add_column("documents", sa.Column("leaf_salt", sa.LargeBinary()))
    op.create_index(
        "documents_not_in_log",
        "documents",
        ["create_time", "document_id"],
        postgresql_where=sa.text("leaf_index IS NULL"),
    )
    # Partial, so that no foreign key could mean it: setting the place does not wait for a share.
    op.create_index(
        "documents_by_leaf",
        "documents",
        ["leaf_index"],
        unique=True,
        postgresql_where=sa.text("leaf_index IS NOT NULL"),
    )
    op.create_table(
        "log_nodes",
        sa.Column("level", sa.SmallInteger(), primary_key=True, autoincrement=False),
        sa.Column("index", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("tree_size", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        _time("create_time"),
    )
    op.create_table(
        "log_time_stamps",
        sa.Column(
            "tree_size",
            sa.BigInteger(),
            sa.ForeignKey("log_checkpoints.tree_size"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        _time("create_time"),
    )
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
