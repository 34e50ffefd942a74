"""E-mails to send, as notifications stores them, within one transaction."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import DateTime, Integer, String, delete, func, select
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.database import Base
from services.notifications.domain import delivery
from services.notifications.domain.rules import INVITATION, Notice


class State(StrEnum):
    PENDING = "pending"
    SENT = "sent"
    # The account has no verified address.
    UNREACHABLE = "unreachable"
    FAILED = "failed"


class DeliveryRow(Base):
    """An e-mail. `account_id` is whom it is for; of an invitation's, the invitation."""

    __tablename__ = "deliveries"

    delivery_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    kind: Mapped[str] = mapped_column(String)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    traceparent: Mapped[str] = mapped_column(String)
    state: Mapped[str] = mapped_column(String, default=State.PENDING)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )

    def failed(self, *, permanent: bool) -> None:
        """Counts a failed attempt: tried again later, or given up."""
        self.attempts += 1
        pause = None if permanent else delivery.pause(self.attempts)
        if pause is None:
            self.state = State.FAILED
        else:
            self.next_attempt_time = func.now() + pause


class Deliveries:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, notice: Notice, traceparent: str) -> None:
        self._add(notice.account_id, notice.kind, notice.parameters, traceparent)

    def add_invitation(self, invitation_id: str, traceparent: str) -> None:
        self._add(invitation_id, INVITATION, {}, traceparent)

    def _add(self, whom: str, kind: str, parameters: dict[str, str], traceparent: str) -> None:
        self._session.add(
            DeliveryRow(
                delivery_id=uuid.uuid4(),
                account_id=uuid.UUID(whom),
                kind=kind,
                parameters=parameters,
                traceparent=traceparent,
            )
        )

    def claim(self) -> DeliveryRow | None:
        """One delivery that is due, locked until the transaction ends; None when none is free."""
        query = (
            select(DeliveryRow)
            .where(DeliveryRow.state == State.PENDING, DeliveryRow.next_attempt_time <= func.now())
            .order_by(DeliveryRow.next_attempt_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        return self._session.scalar(query)

    def forget(self, account_id: str) -> int:
        """Deletes an account's deliveries, those to come too; how many there were."""
        gone = delete(DeliveryRow).where(DeliveryRow.account_id == uuid.UUID(account_id))
        return self._session.connection().execute(gone).rowcount
