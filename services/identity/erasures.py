"""Erasures, as identity stores them, within one transaction."""

import hashlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from administration.identity.v1 import erasures_pb2
from google.protobuf.json_format import ParseDict
from sqlalchemy import DateTime, LargeBinary, SmallInteger, String, func, select
from sqlalchemy.dialects.postgresql import JSONB, UUID, array, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.database import Base
from backbone.errors import NotFound


class State(IntEnum):
    """As the contract's `ErasureState`."""

    SCHEDULED = 1
    ERASING = 2
    ERASED = 3
    CANCELLED = 4


class ErasureRow(Base):
    """An erasure. Stays when it is done, without the account that it was about."""

    __tablename__ = "erasures"

    erasure_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    account_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    state: Mapped[int] = mapped_column(SmallInteger)
    # SHA-256: whoever reads the table cannot cancel.
    cancel_digest: Mapped[bytes] = mapped_column(LargeBinary)
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    due_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # `ErasurePart` in JSON, by service.
    parts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    certificate: Mapped[str] = mapped_column(String, default="")

    def to_proto(self) -> erasures_pb2.Erasure:
        message = erasures_pb2.Erasure(
            erasure_id=str(self.erasure_id),
            state=erasures_pb2.ErasureState.ValueType(self.state),
            parts=[
                ParseDict(part, erasures_pb2.ErasurePart())
                for _, part in sorted(self.parts.items())
            ],
            certificate=self.certificate,
        )
        message.create_time.FromDatetime(self.create_time)
        message.due_time.FromDatetime(self.due_time)
        return message


def _part(said: dict[str, Any]) -> erasures_pb2.ErasurePart:
    return ParseDict(said, erasures_pb2.ErasurePart())


def digest(cancel_code: str) -> bytes:
    return hashlib.sha256(cancel_code.encode()).digest()


class Erasures:
    """Erasures within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, account_id: str, cancel_code: str, due_time: datetime) -> ErasureRow | None:
        """A new erasure; None when the account has one that is not over."""
        added = insert(ErasureRow).values(
            erasure_id=uuid.uuid4(),
            account_id=uuid.UUID(account_id),
            state=State.SCHEDULED,
            cancel_digest=digest(cancel_code),
            create_time=datetime.now(UTC),
            due_time=due_time,
            parts={},
            certificate="",
        )
        return self._session.scalar(added.on_conflict_do_nothing().returning(ErasureRow))

    def get(self, erasure_id: str, *, lock: bool = False) -> ErasureRow:
        """Raises:
        NotFound: it does not exist.
        """
        query = select(ErasureRow).where(ErasureRow.erasure_id == uuid.UUID(erasure_id))
        row = self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound("No such erasure.", reason="ERASURE_NOT_FOUND")
        return row

    def scheduled(self, account_id: str) -> ErasureRow | None:
        """The erasure that an account has before it, locked."""
        return self._session.scalar(
            select(ErasureRow)
            .where(
                ErasureRow.account_id == uuid.UUID(account_id),
                ErasureRow.state == State.SCHEDULED,
            )
            .with_for_update()
        )

    def due(self) -> ErasureRow | None:
        """One whose time has come, for this transaction alone."""
        return self._claim(State.SCHEDULED, ErasureRow.due_time <= func.now())

    def answered(self, services: Sequence[str]) -> ErasureRow | None:
        """One that all these services have answered, for this transaction alone."""
        return self._claim(State.ERASING, ErasureRow.parts.has_all(array(services)))

    def _claim(self, state: State, condition: Any) -> ErasureRow | None:
        return self._session.scalar(
            select(ErasureRow)
            .where(ErasureRow.state == state, condition)
            .order_by(ErasureRow.due_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
