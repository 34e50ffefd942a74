"""Documents and shares, as the vault stores them, within one transaction."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from administration.documents.v1 import deposits_pb2, documents_pb2, events_pb2
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
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
from backbone.acting import Acting
from backbone.backoff import pause
from backbone.database import Base
from backbone.errors import Conflict, NotFound
from services.documents.checks.verdict import Reason, Remark

# Those that say the same of a document.
Described = TypeVar("Described", events_pb2.DocumentDeposited, events_pb2.DocumentReceived)
# Between two tries of a check: doubled each time, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=1)


class State(StrEnum):
    """The words of `DocumentState`; a document that is PENDING has no row here yet."""

    CHECKING = "CHECKING"
    AVAILABLE = "AVAILABLE"
    REFUSED = "REFUSED"


class DocumentRow(Base):
    __tablename__ = "documents"

    document_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    name: Mapped[str] = mapped_column(String)
    media_type: Mapped[str] = mapped_column(String(127))
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    # The content's own key, wrapped, and which of its owner's keys wrapped it (`contents.py`); None
    # while its bytes are not in the vault yet.
    owner_key_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    sealed_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    # When it is destroyed by itself; None for what is kept.
    expire_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # Its place in the log of deposits, and what keeps it secret there; None until `log.py` sets it.
    leaf_index: Mapped[int | None] = mapped_column(BigInteger)
    leaf_salt: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String, default=State.CHECKING)
    refusal: Mapped[str] = mapped_column(String, default="")
    remarks: Mapped[list[str]] = mapped_column(ARRAY(String), default=list)
    # When it is to be checked, how often it was tried, and how often that was no outage.
    check_time: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    check_tries: Mapped[int] = mapped_column(Integer, default=0)
    check_failures: Mapped[int] = mapped_column(Integer, default=0)
    # Of the deposit, which its check goes on with.
    traceparent: Mapped[str] = mapped_column(String, default="")
    # Its bytes are in the quarantine still.
    quarantined: Mapped[bool] = mapped_column(Boolean, default=False)

    @property
    def key(self) -> str:
        """Where the bytes are in the object store."""
        return str(self.document_id)

    def to_proto(self) -> documents_pb2.Document:
        message = documents_pb2.Document(
            document_id=str(self.document_id),
            owner_id=str(self.owner_id),
            name=self.name,
            media_type=self.media_type,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            state=deposits_pb2.DocumentState.Value(f"DOCUMENT_STATE_{self.state}"),
            refusal_reason=_reason(self.refusal or "UNSPECIFIED"),
            remarks=_remarks(self.remarks),
        )
        message.create_time.FromDatetime(self.create_time)
        if self.expire_time is not None:
            message.expire_time.FromDatetime(self.expire_time)
        return message

    def require_available(self) -> None:
        """Raises:
        Conflict: it is being checked, or was refused: which, and why.
        """
        if self.state == State.CHECKING:
            raise Conflict(
                "The document is being checked: it can be read once it is AVAILABLE.",
                reason="DOCUMENT_CHECKING",
                metadata={"retry_after": "1"},
            )
        self.require_not_refused()

    def require_not_refused(self) -> None:
        """Raises:
        Conflict: it was refused, and why.
        """
        if self.state == State.REFUSED:
            raise Conflict(
                f"The document was refused ({self.refusal}): nobody can read it.",
                reason="DOCUMENT_REFUSED",
            )

    def accept(self, remarks: Iterable[Remark]) -> events_pb2.DocumentDeposited:
        """Makes it available; the event that tells."""
        self.state, self.remarks = State.AVAILABLE, sorted(remarks)
        return self._described(events_pb2.DocumentDeposited())

    def refuse(self, reason: Reason) -> events_pb2.DocumentRefused:
        """Refuses it for good; the event that tells."""
        self.state, self.refusal = State.REFUSED, reason
        return events_pb2.DocumentRefused(
            document_id=str(self.document_id),
            owner_id=str(self.owner_id),
            refusal_reason=_reason(reason),
        )

    def received(self) -> events_pb2.DocumentReceived:
        """The event that tells that it is there, and being checked."""
        return self._described(events_pb2.DocumentReceived())

    def _described(self, event: Described) -> Described:
        event.document_id, event.owner_id = str(self.document_id), str(self.owner_id)
        event.media_type, event.size_bytes = self.media_type, self.size_bytes
        event.create_time.FromDatetime(self.create_time)
        return event

    def check_later(self) -> None:
        """It could not be checked: tried again, more and more patiently."""
        self.check_tries += 1
        self.check_time = func.now() + pause(self.check_tries, FIRST_PAUSE, LONGEST_PAUSE)


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

    def readable(self, document_id: str, acting: Acting) -> DocumentRow:
        """A document of whom the call is made for, or that is shared with the caller's
        administration now.

        Raises:
            NotFound: it does not exist, or is not the caller's to see.
        """
        shared = exists().where(
            ShareRow.document_id == DocumentRow.document_id,
            ShareRow.administration == acting.administration,
            ShareRow.administration != "",
            ShareRow.expire_time > func.now(),
        )
        owned = DocumentRow.owner_id == _uuid(acting.principal_id)
        return self._one(document_id, or_(owned, shared))

    def owned(self, document_id: str, owner_id: str) -> DocumentRow:
        """Raises:
        NotFound: it does not exist, or is another's.
        """
        return self._one(document_id, DocumentRow.owner_id == _uuid(owner_id))

    def _one(self, document_id: str, condition: ColumnElement[bool]) -> DocumentRow:
        query = select(DocumentRow).where(DocumentRow.document_id == uuid.UUID(document_id))
        row = self._session.scalar(query.where(condition, _lasting()))
        if row is None:
            raise NotFound("No such document.", reason="DOCUMENT_NOT_FOUND")
        return row

    def page(
        self, owner_id: str, page_size: int, page_token: str
    ) -> tuple[Sequence[DocumentRow], str]:
        """The owner's documents, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(DocumentRow).where(DocumentRow.owner_id == _uuid(owner_id), _lasting())
        columns = (DocumentRow.create_time, DocumentRow.document_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def expired(self, limit: int) -> Sequence[DocumentRow]:
        """Documents whose time is over, locked, those that no other process destroys now."""
        query = select(DocumentRow).where(DocumentRow.expire_time <= func.now())
        return self._session.scalars(query.limit(limit).with_for_update(skip_locked=True)).all()

    def of(self, owner_id: str, limit: int) -> Sequence[DocumentRow]:
        """Documents of an owner, locked, whatever their state."""
        query = select(DocumentRow).where(DocumentRow.owner_id == _uuid(owner_id))
        return self._session.scalars(query.limit(limit).with_for_update()).all()

    def remove(self, row: DocumentRow) -> None:
        """Forgets a document and its shares; its leaf in the log stays, and says nothing alone."""
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


def _lasting() -> ColumnElement[bool]:
    return or_(DocumentRow.expire_time.is_(None), DocumentRow.expire_time > func.now())


def _reason(word: str) -> deposits_pb2.RefusalReason.ValueType:
    return deposits_pb2.RefusalReason.Value(f"REFUSAL_REASON_{word}")


def _remarks(words: Iterable[str]) -> list[deposits_pb2.Remark.ValueType]:
    return [deposits_pb2.Remark.Value(f"REMARK_{word}") for word in words]


def _uuid(subject: str) -> uuid.UUID:
    # Keycloak's subjects are UUIDs; another realm's would own nothing here.
    try:
        return uuid.UUID(subject)
    except ValueError:
        return uuid.UUID(int=0)
