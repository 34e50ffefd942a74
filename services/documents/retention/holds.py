"""Legal holds, as the vault stores them, within one transaction."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from administration.documents.v1 import retention_pb2
from sqlalchemy import DateTime, ForeignKey, String, exists, func, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from backbone.errors import NotFound
from services.documents.documents import DocumentRow


class HoldRow(Base):
    """A legal hold; it goes with its document."""

    __tablename__ = "legal_holds"

    hold_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    document_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(DocumentRow.document_id, ondelete="CASCADE")
    )
    # What the administrator wrote: personal.
    reason: Mapped[str] = mapped_column(String)
    placed_by: Mapped[str] = mapped_column(String(255))
    place_time: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    release_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    released_by: Mapped[str] = mapped_column(String(255), default="")

    def to_proto(self) -> retention_pb2.Hold:
        message = retention_pb2.Hold(
            hold_id=str(self.hold_id),
            document_id=str(self.document_id),
            reason=self.reason,
            placed_by=self.placed_by,
            released_by=self.released_by,
        )
        message.place_time.FromDatetime(self.place_time)
        if self.release_time is not None:
            message.release_time.FromDatetime(self.release_time)
        return message


class Holds:
    """Legal holds within one transaction, which has locked the document's row."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def place(self, row: DocumentRow, reason: str, placed_by: str) -> HoldRow:
        """Raises:
        Conflict: the document was refused, and has no content.
        """
        row.require_available()
        hold = HoldRow(
            hold_id=uuid.uuid4(),
            document_id=row.document_id,
            reason=reason,
            placed_by=placed_by,
        )
        self._session.add(hold)
        row.holds, row.lock_pending = row.holds + 1, True
        self._session.flush()
        self._session.refresh(hold)
        return hold

    def release(self, row: DocumentRow, hold_id: str, released_by: str) -> tuple[HoldRow, bool]:
        """The hold, and whether it counted until now.

        Raises:
            NotFound: the document has no such hold.
        """
        hold = self._session.scalar(
            select(HoldRow).where(
                HoldRow.hold_id == uuid.UUID(hold_id), HoldRow.document_id == row.document_id
            )
        )
        if hold is None:
            raise NotFound("No such hold.", reason="HOLD_NOT_FOUND")
        if hold.release_time is not None:
            return hold, False
        hold.release_time, hold.released_by = func.now(), released_by
        row.holds, row.lock_pending = row.holds - 1, True
        self._session.flush()
        self._session.refresh(hold)
        return hold, True

    def known(self, document_id: uuid.UUID) -> bool:
        """Whether a document has, or had, a legal hold."""
        query = select(exists().where(HoldRow.document_id == document_id))
        return bool(self._session.scalar(query))

    def page(
        self, document_id: uuid.UUID, page_size: int, page_token: str
    ) -> tuple[Sequence[HoldRow], str]:
        """A document's holds, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(HoldRow).where(HoldRow.document_id == document_id)
        columns = (HoldRow.place_time, HoldRow.hold_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)
