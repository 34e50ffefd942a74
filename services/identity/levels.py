"""Levels that agents raised, as identity stores them: each record with its event."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from administration.identity.v1 import events_pb2, levels_pb2
from administration.options.v1 import options_pb2
from sqlalchemy import DateTime, SmallInteger, String, func, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base, Transactions
from backbone.events import Publisher
from services.identity.domain.level import Level, Piece, require_raise


class LevelRecordRow(Base):
    """Never deleted, as it says why an account has its level."""

    __tablename__ = "level_records"

    record_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    level: Mapped[int] = mapped_column(SmallInteger)
    piece: Mapped[int] = mapped_column(SmallInteger)
    administration: Mapped[str] = mapped_column(String(63))
    agent_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))

    def to_proto(self) -> levels_pb2.LevelRecord:
        message = levels_pb2.LevelRecord(
            record_id=str(self.record_id),
            level=options_pb2.AssuranceLevel.ValueType(self.level),
            piece=levels_pb2.Piece.ValueType(self.piece),
            administration=self.administration,
            agent_id=str(self.agent_id),
        )
        message.create_time.FromDatetime(self.create_time)
        return message


class Levels:
    """One person's levels within one transaction."""

    def __init__(self, session: Session, account_id: str) -> None:
        self._session = session
        self._account_id = uuid.UUID(account_id)

    def now(self) -> int:
        """The highest level that an agent gave them; 0 for none."""
        highest = select(func.max(LevelRecordRow.level)).where(
            LevelRecordRow.account_id == self._account_id
        )
        return self._session.scalar(highest) or 0

    def lock(self) -> None:
        """One agent at a time says something of a person, to the end of the transaction."""
        lock = func.pg_advisory_xact_lock(func.hashtext(f"levels {self._account_id}"))
        self._session.execute(select(lock))

    def said(self, level: Level, piece: Piece, agent_id: str) -> LevelRecordRow | None:
        """The record that an agent made already, if it is the one that counts."""
        latest = (
            select(LevelRecordRow)
            .where(LevelRecordRow.account_id == self._account_id)
            .order_by(LevelRecordRow.level.desc())
            .limit(1)
        )
        row = self._session.scalar(latest)
        if row is None or str(row.agent_id) != agent_id:
            return None
        return row if (row.level, row.piece) == (level, piece) else None

    def add(self, row: LevelRecordRow) -> None:
        self._session.add(row)
        self._session.flush()

    def page(self, page_size: int, page_token: str) -> tuple[Sequence[LevelRecordRow], str]:
        """Newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(LevelRecordRow).where(LevelRecordRow.account_id == self._account_id)
        columns = (LevelRecordRow.create_time, LevelRecordRow.record_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)


def raise_level(
    db: Transactions,
    events: Publisher,
    account_id: str,
    said: tuple[Level, Piece],
    by: tuple[str, str],
) -> LevelRecordRow:
    """Records what an agent (their account and administration: `by`) says of a person.

    Raises:
        Conflict: the account has this level, or a higher one.
    """
    (level, piece), (agent_id, administration) = said, by
    with db.transaction() as session:
        levels = Levels(session, account_id)
        levels.lock()
        known = levels.said(level, piece, agent_id)
        if known is not None:
            return known
        require_raise(levels.now(), level)
        row = LevelRecordRow(
            record_id=uuid.uuid4(),
            account_id=uuid.UUID(account_id),
            level=level,
            piece=piece,
            administration=administration,
            agent_id=uuid.UUID(agent_id),
            create_time=datetime.now(UTC),
        )
        levels.add(row)
        event = events_pb2.LevelRaised(
            account_id=account_id,
            record_id=str(row.record_id),
            level=options_pb2.AssuranceLevel.ValueType(level),
            administration=administration,
            agent_id=agent_id,
        )
        event.create_time.FromDatetime(row.create_time)
        events.publish(event)
    return row
