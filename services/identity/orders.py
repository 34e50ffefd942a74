"""Orders about access, as identity stores them: who asked for what, and if the realm did it."""

import uuid
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from sqlalchemy import BigInteger, DateTime, Identity, SmallInteger, String, exists, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from backbone.backoff import pause
from backbone.database import Base

# Between two tries while the realm does not answer: doubled up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=0.5), timedelta(seconds=30)


class Action(IntEnum):
    END_SESSION = 1
    END_SESSIONS = 2
    DISABLE_ACCOUNT = 3
    ENABLE_ACCOUNT = 4
    REVOKE_CLIENT = 5


class OrderRow(Base):
    """An order; never deleted, as it says who ended whose access."""

    __tablename__ = "access_orders"

    order_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    action: Mapped[int] = mapped_column(SmallInteger)
    # A session, an account or a client.
    subject_id: Mapped[str] = mapped_column(String(255))
    # Whose it is; None for a client.
    account_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    ordered_by: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    next_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    done_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    attempts: Mapped[int] = mapped_column(default=0)

    def failed(self) -> None:
        """The realm did not answer: it is asked again, more and more slowly."""
        self.attempts += 1
        self.next_time = datetime.now(UTC) + pause(self.attempts, FIRST_PAUSE, LONGEST_PAUSE)


class Orders:
    """Orders within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self, action: Action, subject_id: str, account_id: str | None, ordered_by: str
    ) -> OrderRow:
        now = datetime.now(UTC)
        row = OrderRow(
            action=action,
            subject_id=subject_id,
            account_id=uuid.UUID(account_id) if account_id else None,
            ordered_by=uuid.UUID(ordered_by),
            create_time=now,
            next_time=now,
        )
        self._session.add(row)
        self._session.flush()
        return row

    def ended_sessions(self, account_id: str) -> set[str]:
        """The sessions of an account that were ordered to end."""
        query = select(OrderRow.subject_id).where(
            OrderRow.account_id == uuid.UUID(account_id), OrderRow.action == Action.END_SESSION
        )
        return set(self._session.scalars(query))

    def disabled(self, account_id: str) -> bool:
        """Whether the last that was ordered about an account is that nobody signs in to it."""
        query = (
            select(OrderRow.action)
            .where(
                OrderRow.account_id == uuid.UUID(account_id),
                OrderRow.action.in_((Action.DISABLE_ACCOUNT, Action.ENABLE_ACCOUNT)),
            )
            .order_by(OrderRow.order_id.desc())
            .limit(1)
        )
        return self._session.scalar(query) == Action.DISABLE_ACCOUNT

    def claim(self) -> OrderRow | None:
        """One that is due, for this transaction alone; of one subject, the earliest first."""
        earlier = aliased(OrderRow)
        return self._session.scalar(
            select(OrderRow)
            .where(
                OrderRow.done_time.is_(None),
                OrderRow.next_time <= datetime.now(UTC),
                ~exists().where(
                    earlier.subject_id == OrderRow.subject_id,
                    earlier.done_time.is_(None),
                    earlier.order_id < OrderRow.order_id,
                ),
            )
            .order_by(OrderRow.next_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
