"""Documents, as the vault stores them, within one transaction."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from administration.documents.v1 import documents_pb2
from sqlalchemy import (
    ColumnElement,
    DateTime,
    and_,
    delete,
    func,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.errors import NotFound
from services.documents.content_row import ContentRow
from services.documents.content_row import State as State
from services.documents.finding.order import Order
from services.documents.retention.kept import Kept
from services.documents.sharing.shares import ShareRow


class DocumentRow(Kept, Order, ContentRow):
    """A document, with the version that it shows. A column that only it has needs a default of the
    database's: rows of other versions are of the same table.
    """

    # When it is destroyed by itself; None for what is kept.
    expire_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __mapper_args__ = {"polymorphic_identity": "document"}  # noqa: RUF012

    @classmethod
    def readable(cls) -> ColumnElement[bool]:
        """One that can be read now, by whoever may."""
        return and_(cls.state == State.AVAILABLE, listed())

    def to_proto(self) -> documents_pb2.Document:
        message = super().to_proto()
        if self.expire_time is not None:
            message.expire_time.FromDatetime(self.expire_time)
        self.tell_kept(message)
        return message


class Documents:
    """The vault's rows within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: DocumentRow) -> None:
        self._session.add(row)
        self._session.flush()

    def known(self, document_id: str) -> DocumentRow:
        """A document, whosever it is: who may see it is asked elsewhere (`sharing/sharing.py`).

        Raises:
            NotFound: it does not exist.
        """
        return self._one(document_id, true())

    def owned(self, document_id: str, owner_id: str, *, lock: bool = False) -> DocumentRow:
        """`lock`: no other transaction gives it a version until this one ends.

        Raises:
            NotFound: it does not exist, or is another's.
        """
        return self.of_owner(document_id, subject_id(owner_id), lock=lock)

    def of_owner(self, document_id: str, owner_id: uuid.UUID, *, lock: bool = False) -> DocumentRow:
        """The same, by the owner's identifier."""
        return self._one(document_id, DocumentRow.owner_id == owner_id, lock=lock)

    def _one(
        self, document_id: str, condition: ColumnElement[bool], *, lock: bool = False
    ) -> DocumentRow:
        query = select(DocumentRow).where(DocumentRow.document_id == uuid.UUID(document_id))
        query = query.where(condition, _lasting())
        if lock:
            # What refers to it, as shares do, does not wait.
            query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
        row = self._session.scalar(query)
        if row is None:
            raise no_such_document()
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
            DocumentRow.owner_id == subject_id(owner_id),
            listed(),
            *conditions,
        )
        columns = (DocumentRow.create_time, DocumentRow.document_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def keys(self, row: DocumentRow, *conditions: ColumnElement[bool]) -> Sequence[str]:
        """Where the bytes of all its versions, or of those alone, are in the object store, each
        once.
        """
        query = select(ContentRow.content_id).where(
            or_(
                ContentRow.document_id == row.document_id, ContentRow.version_of == row.document_id
            ),
            *conditions,
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


def no_such_document() -> NotFound:
    """Whether it does not exist or is not the caller's to see: both look the same."""
    return NotFound("No such document.", reason="DOCUMENT_NOT_FOUND")


def listed() -> ColumnElement[bool]:
    """Documents outside the trash whose time is not over."""
    return and_(DocumentRow.purge_time.is_(None), _lasting())


def _lasting() -> ColumnElement[bool]:
    return or_(DocumentRow.expire_time.is_(None), DocumentRow.expire_time > func.now())


def subject_id(subject: str) -> uuid.UUID:
    """The account that a token is of."""
    # Keycloak's subjects are UUIDs; another realm's would own nothing here.
    try:
        return uuid.UUID(subject)
    except ValueError:
        return uuid.UUID(int=0)
