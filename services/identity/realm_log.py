"""What the realm told, as identity stores it: so that each entry is taken once, and so that a
person can look back at their sign-ins.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from administration.identity.v1 import sessions_pb2
from sqlalchemy import Boolean, DateTime, String, delete, func, select, update
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from services.identity.domain.realm_event import KEPT, RealmEvent, Stream, Type

OUTCOMES = {
    Type.SIGNED_IN: sessions_pb2.SIGN_IN_OUTCOME_SUCCEEDED,
    Type.SIGN_IN_FAILED: sessions_pb2.SIGN_IN_OUTCOME_FAILED,
}


class RealmEventRow(Base):
    __tablename__ = "realm_events"

    event_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    stream: Mapped[str] = mapped_column(String(16))
    type: Mapped[str] = mapped_column(String(32))
    time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    account_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    client_id: Mapped[str] = mapped_column(String(255))
    error: Mapped[str] = mapped_column(String(255))
    # Shown to the person alone, and forgotten with the row.
    address: Mapped[str] = mapped_column(String(64))
    # The realm's log no longer has it, though it should.
    gone: Mapped[bool] = mapped_column(Boolean, default=False)

    def to_proto(self) -> sessions_pb2.SignIn:
        """A sign-in, as its person sees it."""
        message = sessions_pb2.SignIn(
            outcome=OUTCOMES[Type(self.type)],
            client_id=self.client_id,
            error_code=self.error,
            ip_address=self.address,
        )
        message.time.FromDatetime(self.time)
        return message


class CursorRow(Base):
    __tablename__ = "realm_cursors"

    stream: Mapped[str] = mapped_column(String(16), primary_key=True)
    read_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class RealmLog:
    """One of the realm's logs, within one transaction."""

    def __init__(self, session: Session, stream: Stream) -> None:
        self._session, self._stream = session, stream

    def claim(self) -> CursorRow | None:
        """How far the log was read, for this transaction alone; None while another reads."""
        query = select(CursorRow).where(CursorRow.stream == self._stream)
        return self._session.scalar(query.with_for_update(skip_locked=True))

    def add(self, events: Sequence[RealmEvent]) -> list[RealmEvent]:
        """Those that were not there yet."""
        if not events:
            return []
        rows = [
            {
                "event_id": each.event_id,
                "stream": each.stream,
                "type": each.type,
                "time": each.time,
                "account_id": uuid.UUID(each.account_id) if each.account_id else None,
                "client_id": each.client_id[:255],
                "error": each.error[:255],
                "address": each.address[:64],
                "gone": False,
            }
            for each in events
        ]
        adding = insert(RealmEventRow).values(rows).on_conflict_do_nothing()
        new = set(self._session.scalars(adding.returning(RealmEventRow.event_id)))
        return [each for each in events if each.event_id in new]

    def last(self) -> datetime | None:
        """When the latest entry that we know was made."""
        return self._session.scalar(
            select(func.max(RealmEventRow.time)).where(RealmEventRow.stream == self._stream)
        )

    def lose(self, seen: set[uuid.UUID], since: datetime, until: datetime) -> datetime | None:
        """Marks those that were known of that time and are not seen again; when the first was."""
        losing = (
            update(RealmEventRow)
            .where(
                RealmEventRow.stream == self._stream,
                RealmEventRow.time >= since,
                RealmEventRow.time < until,
                RealmEventRow.gone.is_(False),
                RealmEventRow.event_id != func.all(list(seen)),
            )
            .values(gone=True)
            .returning(RealmEventRow.time)
        )
        return min(self._session.scalars(losing), default=None)

    def purge(self) -> None:
        """Forgets what a person can no longer look back at."""
        self._session.execute(
            delete(RealmEventRow).where(
                RealmEventRow.stream == self._stream,
                RealmEventRow.time < datetime.now(UTC) - KEPT,
            )
        )


def sign_ins(
    session: Session, account_id: str, page_size: int, page_token: str
) -> tuple[Sequence[RealmEventRow], str]:
    """A person's sign-ins and failed ones, newest first, and the token of the next page.

    Raises:
        InvalidInput: the page token is none of ours.
    """
    query = select(RealmEventRow).where(
        RealmEventRow.account_id == uuid.UUID(account_id), RealmEventRow.type.in_(OUTCOMES)
    )
    columns = (RealmEventRow.time, RealmEventRow.event_id)
    return paging.newest_first(session, query, columns, page_size, page_token)
