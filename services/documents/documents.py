"""Documents and shares, as the vault stores them, within one transaction."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from administration.documents.v1 import documents_pb2
from sqlalchemy import (
    ColumnElement,
    DateTime,
    ForeignKey,
    String,
    delete,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from backbone.errors import NotFound
from backbone.tokens import Caller
from services.documents.content_row import ContentRow
from services.documents.content_row import State as State
from services.documents.finding.order import Order
from services.documents.retention.kept import Kept


class DocumentRow(Kept, Order, ContentRow):
    """A document, with the version that it shows. A column that only it has needs a default of the
    database's: rows of other versions are of the same table.
    """

    # When it is destroyed by itself; None for what is kept.
    expire_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __mapper_args__ = {"polymorphic_identity": "document"}  # noqa: RUF012

    def to_proto(self) -> documents_pb2.Document:
        message = super().to_proto()
        if self.expire_time is not None:
            message.expire_time.FromDatetime(self.expire_time)
        self.tell_kept(message)
        return message


class ShareRow(Base):
    __tablename__ = "shares"

    share_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    document_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(DocumentRow.document_id))
    administration: Mapped[str] = mapped_column(String(63))
    purpose: Mapped[str] = mapped_column(String)
    expire_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )

    def to_proto(self) -> documents_pb2.Share:
        message = documents_pb2.Share(
            share_id=str(self.share_id),
            document_id=str(self.document_id),
            administration=self.administration,
            purpose=self.purpose,
        )
        message.expire_time.FromDatetime(self.expire_time)
        message.create_time.FromDatetime(self.create_time)
        return message


class Documents:
    """The vault's rows within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: DocumentRow) -> None:
        self._session.add(row)
        self._session.flush()

    def readable(self, document_id: str, caller: Caller) -> DocumentRow:
        """A document that the caller owns, or that is shared with its administration now.

        Raises:
            NotFound: it does not exist, or is not the caller's to see.
        """
        shared = exists().where(
            ShareRow.document_id == DocumentRow.document_id,
            ShareRow.administration == caller.administration,
            ShareRow.administration != "",
            ShareRow.expire_time > func.now(),
            DocumentRow.purge_time.is_(None),
        )
        return self._one(document_id, or_(DocumentRow.owner_id == _uuid(caller.subject), shared))

    def owned(self, document_id: str, caller: Caller, *, lock: bool = False) -> DocumentRow:
        """`lock`: no other transaction gives it a version until this one ends.

        Raises:
            NotFound: it does not exist, or is another's.
        """
        return self.of_owner(document_id, _uuid(caller.subject), lock=lock)

    def of_owner(self, document_id: str, owner_id: uuid.UUID, *, lock: bool = False) -> DocumentRow:
        """The same, by the owner's identifier."""
        return self._one(document_id, DocumentRow.owner_id == owner_id, lock=lock)

    def _one(
        self, document_id: str, condition: ColumnElement[bool], *, lock: bool = False
    ) -> DocumentRow:
        query = select(DocumentRow).where(DocumentRow.document_id == uuid.UUID(document_id))
        query = query.where(condition, lasting())
        if lock:
            # What refers to it, as shares do, does not wait.
            query = query.with_for_update(key_share=True)
        row = self._session.scalar(query)
        if row is None:
            raise NotFound("No such document.", reason="DOCUMENT_NOT_FOUND")
        return row

    def page(
        self,
        owner_id: str,
        page_size: int,
        page_token: str,
        conditions: Sequence[ColumnElement[bool]] = (),
    ) -> tuple[Sequence[DocumentRow], str]:
        """The owner's documents outside the trash, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(DocumentRow).where(
            DocumentRow.owner_id == _uuid(owner_id),
            DocumentRow.purge_time.is_(None),
            lasting(),
            *conditions,
        )
        columns = (DocumentRow.create_time, DocumentRow.document_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def keys(self, row: DocumentRow) -> Sequence[str]:
        """Where the bytes of all its versions are in the object store, each once."""
        query = select(ContentRow.content_id).where(
            or_(ContentRow.document_id == row.document_id, ContentRow.version_of == row.document_id)
        )
        return [str(content_id) for content_id in self._session.scalars(query.distinct())]

    def remove(self, row: DocumentRow) -> None:
        """Forgets a document, its versions and its shares; their leaves in the log stay, and say
        nothing alone.
        """
        shares = delete(ShareRow).where(ShareRow.document_id == row.document_id)
        self._session.execute(shares)
        self._session.delete(row)
        self._session.flush()

    def share(
        self, row: DocumentRow, administration: str, purpose: str, expire_time: datetime
    ) -> ShareRow:
        """Shares a document, or replaces the purpose and the end of what is shared already."""
        values = {"purpose": purpose, "expire_time": expire_time}
        statement = insert(ShareRow).values(
            share_id=uuid.uuid4(),
            document_id=row.document_id,
            administration=administration,
            **values,
        )
        return self._session.scalars(
            statement.on_conflict_do_update(
                index_elements=["document_id", "administration"], set_=values
            ).returning(ShareRow),
            execution_options={"populate_existing": True},
        ).one()


def lasting() -> ColumnElement[bool]:
    """Documents whose time is not over."""
    return or_(DocumentRow.expire_time.is_(None), DocumentRow.expire_time > func.now())


def _uuid(subject: str) -> uuid.UUID:
    # Keycloak's subjects are UUIDs; another realm's would own nothing here.
    try:
        return uuid.UUID(subject)
    except ValueError:
        return uuid.UUID(int=0)
