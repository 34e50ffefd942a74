"""Uploads: deposits that are pending, as the vault stores them, within one transaction."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, DateTime, String, delete, func, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.database import Base
from backbone.errors import NotFound

BATCH = 100


class UploadRow(Base):
    __tablename__ = "uploads"

    document_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    name: Mapped[str] = mapped_column(String)
    media_type: Mapped[str] = mapped_column(String(127))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    expire_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # The document that it becomes a version of; None for a new one.
    version_of: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    # Whose usage it is, from the moment that it is announced.
    payer: Mapped[str | None] = mapped_column(String)


class Uploads:
    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: UploadRow) -> None:
        self._session.add(row)

    def count(self, owner_id: uuid.UUID) -> int:
        """How many an owner has open."""
        query = select(func.count()).where(UploadRow.owner_id == owner_id)
        return self._session.scalar(query) or 0

    def owned(self, document_id: str, owner_id: uuid.UUID, *, lock: bool = False) -> UploadRow:
        """Raises:
        NotFound: it is none of this owner's, or no longer.
        """
        query = select(UploadRow).where(
            UploadRow.document_id == uuid.UUID(document_id),
            UploadRow.owner_id == owner_id,
            UploadRow.expire_time > func.now(),
        )
        row = self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound("No such upload.", reason="UPLOAD_NOT_FOUND")
        return row

    def expired(self) -> Sequence[UploadRow]:
        """Those whose time is over, locked until the transaction ends."""
        query = (
            select(UploadRow)
            .where(UploadRow.expire_time <= func.now())
            .order_by(UploadRow.expire_time)
            .limit(BATCH)
            .with_for_update(skip_locked=True)
        )
        return self._session.scalars(query).all()

    def remove(self, row: UploadRow) -> None:
        self._session.delete(row)

    def forget(self, owner_id: uuid.UUID) -> None:
        """The owner is forgotten; the bucket's own rule does it to the parts that are there."""
        self._session.execute(delete(UploadRow).where(UploadRow.owner_id == owner_id))
