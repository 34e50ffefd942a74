"""Shares with persons, with options and an end that is kept; drop boxes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"


def _time(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def upgrade() -> None:
    _shares()
    op.create_table(
        "boxes",
        sa.Column("box_id", sa.UUID(), primary_key=True),
        sa.Column("administration", sa.String(63), nullable=False),
        sa.Column("account_id", sa.UUID()),
        # Of the code that lets people join: SHA-256.
        sa.Column("code_hash", sa.LargeBinary(), unique=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("pieces", postgresql.JSONB(), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.Column("access_end_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("close_time", sa.DateTime(timezone=True)),
        _time("create_time"),
    )
    op.create_index("boxes_by_administration", "boxes", ["administration", "create_time", "box_id"])
    op.create_index("boxes_by_account", "boxes", ["account_id"])
    op.create_index("boxes_by_end", "boxes", ["access_end_time"])
    box = sa.ForeignKey("boxes.box_id", ondelete="CASCADE")
    op.create_table(
        "box_depositors",
        sa.Column("box_id", sa.UUID(), box, primary_key=True),
        sa.Column("account_id", sa.UUID(), primary_key=True),
        # When it is looked next whether something is missing; NULL: never again.
        sa.Column("reminder_time", sa.DateTime(timezone=True)),
    )
    op.create_index("box_depositors_by_account", "box_depositors", ["account_id"])
    op.create_index(
        "box_depositors_to_remind",
        "box_depositors",
        ["reminder_time"],
        postgresql_where=sa.text("reminder_time IS NOT NULL"),
    )
    op.create_table(
        "hand_ins",
        sa.Column("hand_in_id", sa.UUID(), primary_key=True),
        sa.Column("box_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("piece_id", sa.String(40), nullable=False),
        # Gone with its share, and so with its document.
        sa.Column(
            "share_id",
            sa.UUID(),
            sa.ForeignKey("shares.share_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("document_id", sa.UUID(), nullable=False),
        sa.Column("refuse_time", sa.DateTime(timezone=True)),
        sa.Column("explanation", sa.String(), nullable=False, server_default=""),
        _time("create_time"),
        sa.ForeignKeyConstraint(
            ["box_id", "account_id"],
            ["box_depositors.box_id", "box_depositors.account_id"],
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("share_id", "piece_id"),
    )
    op.create_index("hand_ins_by_depositor", "hand_ins", ["box_id", "account_id"])
    # Of an erasure: shares with the person, and boxes that they joined.
    for name in ("shares", "boxes"):
        op.add_column(
            "vault_erasures", sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
        )


def _shares() -> None:
    op.add_column("shares", sa.Column("account_id", sa.UUID()))
    for name in ("shared_by", "end_cause"):
        op.add_column("shares", sa.Column(name, sa.String(63), nullable=False, server_default=""))
    for name in ("consent_id", "box_id", "reader_id"):
        op.add_column("shares", sa.Column(name, sa.UUID()))
    for name in ("read_once", "watermark"):
        op.add_column(
            "shares", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
        )
    op.add_column(
        "shares", sa.Column("announced", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    for name in ("read_time", "end_time"):
        op.add_column("shares", sa.Column(name, sa.DateTime(timezone=True)))
    op.drop_constraint("shares_document_id_administration_key", "shares")
    # One that ended stays, and another may follow it.
    op.create_index(
        "shares_standing",
        "shares",
        ["document_id", "administration", "account_id", "shared_by", "box_id"],
        unique=True,
        postgresql_where=sa.text("end_time IS NULL"),
        postgresql_nulls_not_distinct=True,
    )
    op.create_index("shares_of_document", "shares", ["document_id", "create_time", "share_id"])
    for recipient in ("account_id", "administration"):
        op.create_index(f"shares_by_{recipient}", "shares", [recipient, "create_time", "share_id"])
    op.create_index(
        "shares_to_end", "shares", ["expire_time"], postgresql_where=sa.text("end_time IS NULL")
    )
    op.create_index(
        "shares_spent",
        "shares",
        ["read_time"],
        postgresql_where=sa.text("read_once AND end_time IS NULL"),
    )
    op.create_index(
        "shares_to_announce",
        "shares",
        ["document_id"],
        postgresql_where=sa.text("NOT announced AND end_time IS NULL"),
    )
    for name in ("consent_id", "box_id"):
        op.create_index(
            f"shares_by_{name}", "shares", [name], postgresql_where=sa.text(f"{name} IS NOT NULL")
        )
