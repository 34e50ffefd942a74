"""How a person says that they are reached: a telephone number and a postal address."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    for name, kind in (
        ("phone_number", sa.String(16)),
        ("street_address", sa.String()),
        ("postal_code", sa.String()),
        ("locality", sa.String()),
        ("country", sa.String(2)),
    ):
        op.add_column("accounts", sa.Column(name, kind, nullable=False, server_default=""))
