"""Identity's own tables in a schema of one test, and a realm in memory beside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Table, func, select

from backbone.database import Base
from backbone.events.tables import outbox
from services.identity.accounts import AccountRow
from services.identity.domain.realm_event import Stream
from services.identity.orders import OrderRow
from services.identity.organisations import MembershipRow, OrganisationRow
from services.identity.realm_log import CursorRow, RealmEventRow
from tests.support.events import Scratch

TABLES = [
    row.__table__
    for row in (AccountRow, OrderRow, CursorRow, RealmEventRow, OrganisationRow, MembershipRow)
]


@contextmanager
def identity_tables(scratch: Scratch, read_until: datetime) -> Iterator[Scratch]:
    """The tables; both logs of the realm count as read until then."""
    tables = [table for table in TABLES if isinstance(table, Table)]
    Base.metadata.create_all(scratch.engine, tables)
    with scratch.transactions.transaction() as session:
        for stream in Stream:
            session.add(CursorRow(stream=stream, read_until=read_until))
    yield scratch


def published(scratch: Scratch) -> list[tuple[str, str]]:
    """Type and key of what waits in the outbox, in its order."""
    with scratch.engine.connect() as connection:
        rows = connection.execute(select(outbox).order_by(outbox.c.position)).all()
    return [(row.attributes["type"].rpartition(".")[2], row.key) for row in rows]


def due(scratch: Scratch) -> None:
    """The pauses of orders and memberships that failed are over."""
    with scratch.transactions.transaction() as session:
        for each in (*session.scalars(select(OrderRow)), *session.scalars(select(MembershipRow))):
            each.next_time = datetime.now(UTC) - timedelta(seconds=1)


def undone(scratch: Scratch) -> int:
    with scratch.transactions.transaction() as session:
        query = select(func.count()).where(OrderRow.done_time.is_(None))
        return int(session.scalar(query) or 0)
