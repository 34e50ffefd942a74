"""In-app inboxes, as notifications stores them, within one transaction."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from administration.notifications.v1 import notifications_pb2
from sqlalchemy import BigInteger, DateTime, String, delete, func, select
from sqlalchemy.dialects.postgresql import JSONB, UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from services.notifications.domain import texts
from services.notifications.domain.rules import Notice


class InboxRow(Base):
    """An account's inbox: how many entries it has had."""

    __tablename__ = "inboxes"

    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    last_sequence: Mapped[int] = mapped_column(BigInteger)


class EntryRow(Base):
    __tablename__ = "entries"

    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    entry_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    kind: Mapped[str] = mapped_column(String)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    entity_id: Mapped[str] = mapped_column(String)
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )

    def to_proto(self, locale: str) -> notifications_pb2.InboxEntry:
        text = texts.render(self.kind, self.parameters, locale)
        message = notifications_pb2.InboxEntry(
            entry_id=str(self.entry_id),
            sequence=self.sequence,
            kind=self.kind,
            subject=text.subject,
            body=text.body,
            entity_id=self.entity_id,
        )
        message.create_time.FromDatetime(self.create_time)
        return message


class Inboxes:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, notice: Notice) -> int:
        """Appends an entry; returns its sequence.

        The inbox's row is locked until the commit: sequences become visible in their order and
        without a gap, which is what lets a reader resume from the last one it saw.
        """
        account_id = uuid.UUID(notice.account_id)
        sequence = self._session.scalars(
            insert(InboxRow)
            .values(account_id=account_id, last_sequence=1)
            .on_conflict_do_update(
                index_elements=["account_id"], set_={"last_sequence": InboxRow.last_sequence + 1}
            )
            .returning(InboxRow.last_sequence)
        ).one()
        self._session.add(
            EntryRow(
                account_id=account_id,
                sequence=sequence,
                entry_id=uuid.uuid4(),
                kind=notice.kind,
                parameters=notice.parameters,
                entity_id=notice.entity_id,
            )
        )
        return sequence

    def after(self, account_id: str, sequence: int, limit: int) -> Sequence[EntryRow]:
        """Entries later than `sequence`, oldest first."""
        query = (
            select(EntryRow)
            .where(EntryRow.account_id == uuid.UUID(account_id), EntryRow.sequence > sequence)
            .order_by(EntryRow.sequence)
            .limit(limit)
        )
        return self._session.scalars(query).all()

    def page(
        self, account_id: str, page_size: int, page_token: str
    ) -> tuple[Sequence[EntryRow], str]:
        """Entries, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(EntryRow).where(EntryRow.account_id == uuid.UUID(account_id))
        columns = (EntryRow.sequence,)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def forget(self, account_id: str) -> int:
        """Deletes an inbox; how many entries it had."""
        key = uuid.UUID(account_id)
        entries = delete(EntryRow).where(EntryRow.account_id == key)
        count = self._session.connection().execute(entries).rowcount
        self._session.execute(delete(InboxRow).where(InboxRow.account_id == key))
        return count

    def last_sequences(self, account_ids: Iterable[str]) -> dict[str, int]:
        """How far the inboxes of these accounts have come."""
        keys = [uuid.UUID(item) for item in account_ids]
        rows = self._session.execute(
            select(InboxRow.account_id, InboxRow.last_sequence).where(InboxRow.account_id.in_(keys))
        )
        return {str(account_id): sequence for account_id, sequence in rows}
