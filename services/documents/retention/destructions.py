"""What proves destructions, as the vault stores it, within one transaction."""

import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from administration.documents.v1 import retention_pb2
from sqlalchemy import DateTime, String, delete, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from backbone.errors import NotFound
from backbone.receipts.destruction import Other, Statement, stated
from backbone.receipts.notes import Signer
from services.documents.content_row import ContentRow, State
from services.documents.documents import DocumentRow


class Cause(StrEnum):
    """The words of the contract's `DestructionCause`."""

    DELETED = "DELETED"
    RETENTION_ENDED = "RETENTION_ENDED"
    EXPIRED = "EXPIRED"


class DestructionRow(Base):
    """A destruction: whose document it was, and the certificate, which says all else."""

    __tablename__ = "destructions"

    document_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    destroy_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    certificate: Mapped[str] = mapped_column(String)
    key: Mapped[str] = mapped_column(String)

    def to_proto(self) -> retention_pb2.Destruction:
        message = stated(self.certificate).to_proto()
        message.certificate, message.key = self.certificate, self.key
        return message


class Destructions:
    """The rows within one transaction."""

    def __init__(self, session: Session, owner_id: uuid.UUID) -> None:
        self._session, self._owner_id = session, owner_id

    def add(self, row: DocumentRow, cause: Cause, basis: str, signer: Signer) -> DestructionRow:
        """Certifies that a document was destroyed now."""
        now = datetime.now(UTC)
        statement = Statement(
            document_id=str(row.document_id),
            cause=cause,
            destroy_time=now,
            deposit_time=row.deposit_time,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            leaf_index=row.leaf_index,
            retention_class=row.retention_class,
            basis=basis,
            others=tuple(self._others(row)),
        )
        made = DestructionRow(
            document_id=row.document_id,
            owner_id=row.owner_id,
            destroy_time=now,
            certificate=signer.sign_text(statement.text()),
            key=str(signer.verifier),
        )
        self._session.add(made)
        return made

    def _others(self, row: DocumentRow) -> Iterator[Other]:
        """The versions beside the one that a document shows, but for those that nobody could read
        yet.
        """
        query = select(ContentRow).where(
            ContentRow.version_of == row.document_id, ContentRow.state == State.AVAILABLE
        )
        for each in self._session.scalars(query.order_by(ContentRow.version)):
            yield Other(
                each.version, each.deposit_time, each.size_bytes, each.sha256, each.leaf_index
            )

    def page(self, page_size: int, page_token: str) -> tuple[Sequence[DestructionRow], str]:
        """The owner's, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(DestructionRow).where(DestructionRow.owner_id == self._owner_id)
        columns = (DestructionRow.destroy_time, DestructionRow.document_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def get(self, document_id: str) -> DestructionRow:
        """Raises:
        NotFound: no such document of the owner's was destroyed.
        """
        found = self._session.get(DestructionRow, uuid.UUID(document_id))
        if found is None or found.owner_id != self._owner_id:
            raise NotFound("No such destruction.", reason="DESTRUCTION_NOT_FOUND")
        return found

    def forget(self) -> int:
        """Deletes those of the owner, who is erased; how many there were."""
        statement = delete(DestructionRow).where(DestructionRow.owner_id == self._owner_id)
        return self._session.connection().execute(statement).rowcount
