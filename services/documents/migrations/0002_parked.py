"""Events whose handler failed are parked by key."""

from alembic import op

from backbone.events import tables

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    tables.create_parked(op.get_bind())
