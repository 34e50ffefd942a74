"""Exports of what is held about a person, as documents stores them, within one transaction."""

import uuid
from datetime import datetime, timedelta
from enum import StrEnum

from administration.documents.v1 import exports_pb2
from sqlalchemy import DateTime, Integer, String, delete, func, select
from sqlalchemy.dialects.postgresql import JSONB, UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.backoff import pause
from backbone.database import Base
from backbone.errors import NotFound

# A try that says nothing for so long has died: another may begin.
LEASE = timedelta(seconds=60)
MAX_ATTEMPTS = 12
FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=10)


class State(StrEnum):
    GATHERING = "gathering"
    READY = "ready"
    FAILED = "failed"


_STATES = {
    State.GATHERING: exports_pb2.EXPORT_STATE_GATHERING,
    State.READY: exports_pb2.EXPORT_STATE_READY,
    State.FAILED: exports_pb2.EXPORT_STATE_FAILED,
}


class ExportRow(Base):
    __tablename__ = "exports"

    export_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    state: Mapped[str] = mapped_column(String)
    # Items given and whether that was all, by service.
    parts: Mapped[dict[str, tuple[int, bool]]] = mapped_column(JSONB, default=dict)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    document_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    expire_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    def to_proto(self, now: datetime) -> exports_pb2.Export:
        message = exports_pb2.Export(
            export_id=str(self.export_id),
            state=_STATES[State(self.state)],
            parts=[
                exports_pb2.ExportPart(service=service, items=items, complete=complete)
                for service, (items, complete) in sorted(self.parts.items())
            ],
        )
        message.create_time.FromDatetime(self.create_time)
        if self.document_id is not None and self.expire_time is not None:
            message.expire_time.FromDatetime(self.expire_time)
            if self.expire_time <= now:
                message.state = exports_pb2.EXPORT_STATE_EXPIRED
            else:
                message.document_id = str(self.document_id)
        return message


class Exports:
    """The exports within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def ask(self, account_id: str) -> ExportRow:
        """The person's export that is gathered or ready, or a new one."""
        key = uuid.UUID(account_id)
        latest = self._latest(key)
        if latest is not None and (
            latest.state == State.GATHERING
            or (latest.state == State.READY and self._ahead(latest.expire_time))
        ):
            return latest
        # Of several who ask at once, one adds it.
        self._session.execute(
            insert(ExportRow)
            .values(export_id=uuid.uuid4(), account_id=key, state=State.GATHERING, parts={})
            .on_conflict_do_nothing()
        )
        added = self._latest(key)
        assert added is not None
        return added

    def latest(self, account_id: str) -> ExportRow:
        """Raises:
        NotFound: the person never asked for one.
        """
        row = self._latest(uuid.UUID(account_id))
        if row is None:
            raise NotFound("No export was asked for.", reason="EXPORT_NOT_FOUND")
        return row

    def claim(self) -> ExportRow | None:
        """An export whose try is due, for this process alone while it goes on telling."""
        row = self._session.scalar(
            select(ExportRow)
            .where(ExportRow.state == State.GATHERING, ExportRow.next_attempt_time <= func.now())
            .order_by(ExportRow.next_attempt_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if row is not None:
            row.attempts += 1
            row.parts = {}
            row.next_attempt_time = func.now() + LEASE
        return row

    def held(self, export_id: uuid.UUID, attempt: int) -> ExportRow | None:
        """The export, locked, while `attempt` is still the one that gathers it."""
        return self._session.scalar(
            select(ExportRow)
            .where(
                ExportRow.export_id == export_id,
                ExportRow.state == State.GATHERING,
                ExportRow.attempts == attempt,
            )
            .with_for_update()
        )

    def prolong(self, held: ExportRow, parts: dict[str, tuple[int, bool]]) -> None:
        """Tells how far the try that holds it has come; it goes on holding it."""
        held.parts = parts
        held.next_attempt_time = func.now() + LEASE

    def forget(self, account_id: uuid.UUID) -> None:
        """Deletes an account's exports; a try that still gathers one finds it gone."""
        self._session.execute(delete(ExportRow).where(ExportRow.account_id == account_id))

    def _latest(self, account_id: uuid.UUID) -> ExportRow | None:
        return self._session.scalar(
            select(ExportRow)
            .where(ExportRow.account_id == account_id)
            .order_by(ExportRow.create_time.desc())
            .limit(1)
        )

    def _ahead(self, moment: datetime | None) -> bool:
        return bool(self._session.scalar(select(func.now() < moment)))


def failed(row: ExportRow) -> None:
    """A try failed: another follows later, unless it was the last."""
    if row.attempts >= MAX_ATTEMPTS:
        row.state = State.FAILED
    else:
        row.next_attempt_time = func.now() + pause(row.attempts, FIRST_PAUSE, LONGEST_PAUSE)
