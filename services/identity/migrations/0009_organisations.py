"""Organisations, their members, and invitations to become one."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def _time(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "organisations",
        sa.Column("organisation_id", sa.UUID(), primary_key=True),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("alias", sa.String(63), nullable=False, unique=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("siret", sa.String(14), nullable=False, unique=True),
        _time("create_time"),
        sa.Column("realm_id", sa.String(64), nullable=True),
        _time("next_time"),
        sa.Column("attempts", sa.Integer(), nullable=False),
    )
    op.create_index(
        "organisations_to_tell",
        "organisations",
        ["next_time"],
        postgresql_where=sa.text("realm_id IS NULL"),
    )
    op.create_table(
        "memberships",
        sa.Column("organisation_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=True),
        _time("join_time"),
        sa.Column("told", sa.Boolean(), nullable=False),
        _time("next_time"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "account_id"),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.organisation_id"]),
    )
    op.create_index("memberships_of_person", "memberships", ["account_id"])
    op.create_index(
        "memberships_to_tell", "memberships", ["next_time"], postgresql_where=sa.text("NOT told")
    )
    op.create_table(
        "invitations",
        sa.Column("invitation_id", sa.UUID(), primary_key=True),
        sa.Column("organisation_id", sa.UUID(), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("invited_by", sa.UUID(), nullable=False),
        _time("create_time"),
        _time("expire_time"),
        _time("accept_time", nullable=True),
        sa.Column("accepted_by", sa.UUID(), nullable=True),
        _time("revoke_time", nullable=True),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.organisation_id"]),
    )
    op.create_index(
        "invitations_of_organisation",
        "invitations",
        ["organisation_id", "create_time", "invitation_id"],
    )
    op.create_index(
        "invitations_by_email", "invitations", ["email"], postgresql_where=sa.text("email <> ''")
    )
