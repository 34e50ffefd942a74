"""Drop boxes, as the vault stores them: boxes, who deposits in them, what was handed in."""

import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from administration.documents.v1 import boxes_pb2
from sqlalchemy import DateTime, ForeignKey, LargeBinary, String, func
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import Mapped, mapped_column

from backbone.database import Base
from services.documents.documents import DocumentRow, State
from services.documents.domain.box import Piece, missing
from services.documents.sharing.shares import ShareRow


class BoxRow(Base):
    __tablename__ = "boxes"

    box_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    administration: Mapped[str] = mapped_column(String(63))
    # Whom it is addressed to; None: whoever has its code, of which the SHA-256 is kept.
    account_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    code_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    title: Mapped[str] = mapped_column(String)
    message: Mapped[str] = mapped_column(String)
    stored_pieces: Mapped[list[dict[str, Any]]] = mapped_column("pieces", JSONB)
    deadline: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    access_end_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    close_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )

    @property
    def pieces(self) -> list[Piece]:
        return [
            Piece(**{**stored, "media_types": tuple(stored["media_types"])})
            for stored in self.stored_pieces
        ]

    @property
    def open(self) -> bool:
        """Whether something can be handed in."""
        return self.close_time is None and datetime.now(UTC) < self.deadline

    def to_proto(self) -> boxes_pb2.Box:
        message = boxes_pb2.Box(
            box_id=str(self.box_id),
            administration=self.administration,
            title=self.title,
            message=self.message,
            pieces=[boxes_pb2.Piece(**asdict(piece)) for piece in self.pieces],
            state=boxes_pb2.BOX_STATE_OPEN if self.open else boxes_pb2.BOX_STATE_CLOSED,
            account_id=str(self.account_id or ""),
        )
        message.deadline.FromDatetime(self.deadline)
        message.access_end_time.FromDatetime(self.access_end_time)
        message.create_time.FromDatetime(self.create_time)
        return message


class BoxDepositorRow(Base):
    __tablename__ = "box_depositors"

    box_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(BoxRow.box_id, ondelete="CASCADE"), primary_key=True
    )
    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    # When it is looked next whether something is missing; None: never again.
    reminder_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class HandInRow(Base):
    """A document that was handed in: by its share, with which it goes."""

    __tablename__ = "hand_ins"

    hand_in_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    box_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    piece_id: Mapped[str] = mapped_column(String(40))
    share_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(ShareRow.share_id, ondelete="CASCADE"))
    document_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    refuse_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    explanation: Mapped[str] = mapped_column(String, default="")
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )


class HandedIn:
    """What was handed in, with what became of its share and of its document."""

    def __init__(self, row: HandInRow, share: ShareRow, document: DocumentRow) -> None:
        self.row, self.share, self.document = row, share, document

    @property
    def state(self) -> boxes_pb2.HandInState.ValueType:
        if self.row.refuse_time is not None or self.document.state == State.REFUSED:
            return boxes_pb2.HAND_IN_STATE_REFUSED
        ended = self.share.end_time is not None or self.share.expire_time <= datetime.now(UTC)
        if ended or self.document.purge_time is not None:
            return boxes_pb2.HAND_IN_STATE_WITHDRAWN
        if self.document.state == State.CHECKING:
            return boxes_pb2.HAND_IN_STATE_CHECKING
        return boxes_pb2.HAND_IN_STATE_THERE

    @property
    def counts(self) -> bool:
        """Whether its piece is not missing for its sake."""
        return self.state in (boxes_pb2.HAND_IN_STATE_CHECKING, boxes_pb2.HAND_IN_STATE_THERE)

    def to_proto(self) -> boxes_pb2.HandIn:
        message = boxes_pb2.HandIn(
            hand_in_id=str(self.row.hand_in_id),
            piece_id=self.row.piece_id,
            document_id=str(self.row.document_id),
            state=self.state,
            explanation=self.row.explanation,
        )
        message.create_time.FromDatetime(self.row.create_time)
        return message


def depositor(
    box: BoxRow, account_id: uuid.UUID, handed_in: list[HandedIn]
) -> boxes_pb2.BoxDepositor:
    """What a person handed in to a box, and what they miss."""
    return boxes_pb2.BoxDepositor(
        account_id=str(account_id),
        hand_ins=[item.to_proto() for item in handed_in],
        missing_piece_ids=missing_of(box, handed_in),
    )


def missing_of(box: BoxRow, handed_in: list[HandedIn]) -> list[str]:
    """The required pieces of a box that nothing of this stands for."""
    return missing(box.pieces, {item.row.piece_id for item in handed_in if item.counts})
