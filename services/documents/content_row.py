"""A content that the vault holds: one version of a document, and what became of it.

One table has them all. A document's row (`documents.py`) has the content that it shows; a row of
another version (`versions.py`) refers to it. So whatever is done to contents, a check, a place in
the log, another key, a re-reading, an erasure, is one query, whichever version they are.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from administration.documents.v1 import deposits_pb2, documents_pb2, events_pb2
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    DateTime,
    ForeignKey,
    Integer,
    LargeBinary,
    String,
    func,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, mapped_column

from backbone.backoff import pause
from backbone.database import Base
from backbone.errors import Conflict
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


class ContentRow(Base):
    __tablename__ = "documents"

    # What the row is of: a document, or another version of one.
    kind: Mapped[str] = mapped_column(String)
    # Of the row: a document's own, and of another version nothing that is ever told (`told_id`).
    document_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    version_of: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("documents.document_id", ondelete="CASCADE")
    )
    owner_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    # Of the sealed bytes: versions that were restored from one another have the same.
    content_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    version: Mapped[int] = mapped_column(Integer, default=1)
    # The version whose content it has again; 0 for one that was deposited.
    restored_from: Mapped[int] = mapped_column(Integer, default=0)
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
    deposit_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    # Its place in the log of deposits, and what keeps it secret there; None until `log.py` sets it.
    leaf_index: Mapped[int | None] = mapped_column(BigInteger)
    leaf_salt: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String, default=State.CHECKING)
    refusal: Mapped[str] = mapped_column(String, default="")
    remarks: Mapped[list[str]] = mapped_column(ARRAY(String), default=list)
    # Whether it says anything that can be read (`finding/reader/`); its check finds that out.
    to_read: Mapped[bool] = mapped_column(Boolean, default=True)
    # When it is to be checked, how often it was tried, and how often that was no outage.
    check_time: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    check_tries: Mapped[int] = mapped_column(Integer, default=0)
    check_failures: Mapped[int] = mapped_column(Integer, default=0)
    # Of the deposit, which its check goes on with.
    traceparent: Mapped[str] = mapped_column(String, default="")
    # Its bytes are in the quarantine still.
    quarantined: Mapped[bool] = mapped_column(Boolean, default=False)
    # The archive whose unpacking made it; None for what was deposited by itself.
    unpacked_from: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    # Whose usage it is (`quotas.py`); None: nobody's.
    payer: Mapped[str | None] = mapped_column(String)
    # When it was last known to be what was deposited (`rereading.py`), before when it is not read
    # again, and since when it is known to be damaged.
    verified_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    reread_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    damage_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012

    def __init__(self, **values: Any) -> None:
        # The first version's is the document's, as of before there were others.
        values.setdefault("content_id", values.get("document_id"))
        super().__init__(**values)

    @property
    def key(self) -> str:
        """Where the bytes are in the object store."""
        return str(self.content_id)

    @property
    def told_id(self) -> uuid.UUID:
        """The document that it is a version of."""
        return self.version_of or self.document_id

    def to_proto(self) -> documents_pb2.Document:
        """The document, with this version's content."""
        message = documents_pb2.Document(
            document_id=str(self.told_id),
            owner_id=str(self.owner_id),
            name=self.name,
            media_type=self.media_type,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            state=state_word(self.state),
            refusal_reason=reason_word(self.refusal or "UNSPECIFIED"),
            remarks=remark_words(self.remarks),
            version=self.version,
        )
        message.create_time.FromDatetime(self.create_time)
        message.version_time.FromDatetime(self.deposit_time)
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
        event = events_pb2.DocumentDeposited(unpacked_from=str(self.unpacked_from or ""))
        return self._described(event)

    def refuse(self, reason: Reason) -> events_pb2.DocumentRefused:
        """Refuses it for good; the event that tells."""
        self.state, self.refusal = State.REFUSED, reason
        return events_pb2.DocumentRefused(
            document_id=str(self.told_id),
            owner_id=str(self.owner_id),
            refusal_reason=reason_word(reason),
            version=self.version,
        )

    def received(self) -> events_pb2.DocumentReceived:
        """The event that tells that it is there, and being checked."""
        return self._described(events_pb2.DocumentReceived())

    def _described(self, event: Described) -> Described:
        event.document_id, event.owner_id = str(self.told_id), str(self.owner_id)
        event.media_type, event.size_bytes = self.media_type, self.size_bytes
        event.version = self.version
        event.create_time.FromDatetime(self.deposit_time)
        return event

    def check_later(self) -> None:
        """It could not be checked: tried again, more and more patiently."""
        self.check_tries += 1
        self.check_time = func.now() + pause(self.check_tries, FIRST_PAUSE, LONGEST_PAUSE)


def state_word(state: str) -> deposits_pb2.DocumentState.ValueType:
    return deposits_pb2.DocumentState.Value(f"DOCUMENT_STATE_{state}")


def reason_word(word: str) -> deposits_pb2.RefusalReason.ValueType:
    return deposits_pb2.RefusalReason.Value(f"REFUSAL_REASON_{word}")


def remark_words(words: Iterable[str]) -> list[deposits_pb2.Remark.ValueType]:
    return [deposits_pb2.Remark.Value(f"REMARK_{word}") for word in words]
