"""A share, as the vault stores it: kept once it has ended, as long as its document is."""

import uuid
from datetime import UTC, datetime
from enum import StrEnum

from administration.documents.v1 import documents_pb2, events_pb2, sharing_pb2
from sqlalchemy import Boolean, ColumnElement, DateTime, ForeignKey, String, and_, func
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from backbone.database import Base


class End(StrEnum):
    """The words of `ShareEnd`."""

    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"
    READ = "READ"
    CONSENT_REVOKED = "CONSENT_REVOKED"
    RETURNED = "RETURNED"


class ShareRow(Base):
    __tablename__ = "shares"

    share_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    document_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("documents.document_id"))
    # With whom: one of the two.
    administration: Mapped[str] = mapped_column(String(63), default="")
    account_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    purpose: Mapped[str] = mapped_column(String)
    expire_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    # Who passed it on, and by which consent; "" and None: the owner shared it.
    shared_by: Mapped[str] = mapped_column(String(63), default="")
    consent_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    box_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    read_once: Mapped[bool] = mapped_column(Boolean, default=False)
    watermark: Mapped[bool] = mapped_column(Boolean, default=False)
    # Where it is to be read once: by whom it is, and since when.
    reader_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    read_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # False while the document cannot be read yet: then nobody was told of the share.
    announced: Mapped[bool] = mapped_column(Boolean, default=True)
    end_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    end_cause: Mapped[str] = mapped_column(String(63), default="")

    def to_proto(self) -> documents_pb2.Share:
        """As its owner sees it. One whose end nobody has noted yet has ended all the same."""
        message = documents_pb2.Share(
            share_id=str(self.share_id),
            document_id=str(self.document_id),
            administration=self.administration,
            account_id=str(self.account_id or ""),
            purpose=self.purpose,
            read_once=self.read_once,
            watermark=self.watermark,
            shared_by=self.shared_by,
            consent_id=str(self.consent_id or ""),
            box_id=str(self.box_id or ""),
        )
        message.expire_time.FromDatetime(self.expire_time)
        message.create_time.FromDatetime(self.create_time)
        if self.read_time is not None:
            message.read_time.FromDatetime(self.read_time)
        if self.end_time is not None:
            message.end_time.FromDatetime(self.end_time)
            message.end = _end(self.end_cause)
        elif self.expire_time <= datetime.now(UTC):
            message.end_time.FromDatetime(self.expire_time)
            message.end = sharing_pb2.SHARE_END_EXPIRED
        return message

    def received(self, owner_id: uuid.UUID) -> sharing_pb2.ReceivedShare:
        """As its recipient sees it."""
        message = sharing_pb2.ReceivedShare(
            share_id=str(self.share_id),
            document_id=str(self.document_id),
            owner_id=str(owner_id),
            administration=self.administration,
            purpose=self.purpose,
            read_once=self.read_once,
            watermark=self.watermark,
            shared_by=self.shared_by,
            box_id=str(self.box_id or ""),
        )
        message.expire_time.FromDatetime(self.expire_time)
        message.create_time.FromDatetime(self.create_time)
        return message

    def given(
        self, owner_id: uuid.UUID
    ) -> events_pb2.DocumentShared | events_pb2.DocumentSharedWithPerson:
        """The event that tells that its recipient may read the document."""
        event: events_pb2.DocumentShared | events_pb2.DocumentSharedWithPerson
        if self.account_id is None:
            event = events_pb2.DocumentShared(administration=self.administration)
        else:
            event = events_pb2.DocumentSharedWithPerson(account_id=str(self.account_id))
        event.document_id, event.owner_id = str(self.document_id), str(owner_id)
        event.share_id = str(self.share_id)
        event.expire_time.FromDatetime(self.expire_time)
        return event

    def over(
        self, owner_id: uuid.UUID, cause: End, moment: datetime
    ) -> events_pb2.DocumentShareEnded | events_pb2.DocumentShareWithPersonEnded:
        """Ends it; the event that tells."""
        self.end_time, self.end_cause = moment, cause
        event: events_pb2.DocumentShareEnded | events_pb2.DocumentShareWithPersonEnded
        if self.account_id is None:
            event = events_pb2.DocumentShareEnded(administration=self.administration)
        else:
            event = events_pb2.DocumentShareWithPersonEnded(account_id=str(self.account_id))
        event.document_id, event.owner_id = str(self.document_id), str(owner_id)
        event.share_id, event.end = str(self.share_id), _end(cause)
        event.end_time.FromDatetime(moment)
        return event


def standing() -> ColumnElement[bool]:
    """A share that gives something now."""
    return and_(ShareRow.end_time.is_(None), ShareRow.expire_time > func.now())


def _end(cause: str) -> sharing_pb2.ShareEnd.ValueType:
    return sharing_pb2.ShareEnd.Value(f"SHARE_END_{cause}")
