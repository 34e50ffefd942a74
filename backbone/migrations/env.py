"""Alembic runs this; the connection is the caller's, so that an upgrade is one transaction."""

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
# Two replicas that start together do not migrate together.
connection.execute(
    text(
        "SELECT pg_advisory_xact_lock(hashtext('backbone.migrations'), hashtext(current_schema()))"
    )
)
context.configure(connection=connection)
context.run_migrations()
