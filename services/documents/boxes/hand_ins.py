"""What was handed in to drop boxes, within one transaction."""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TypeVar

from administration.documents.v1 import events_pb2
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from backbone.errors import Conflict, NotFound, TooMany
from backbone.events import Publisher
from services.documents.boxes.rows import (
    BoxDepositorRow,
    BoxRow,
    HandedIn,
    HandInRow,
    missing_of,
)
from services.documents.documents import DocumentRow
from services.documents.domain import box as rules
from services.documents.domain.sharing import Origin, Recipient, Terms
from services.documents.sharing.shares import End, ShareRow
from services.documents.sharing.sharing import Shares

BATCH = 50
# Those that say the same of what was handed in.
Told = TypeVar("Told", events_pb2.DocumentHandedIn, events_pb2.HandInRefused)


class HandIns:
    def __init__(self, session: Session) -> None:
        self._session = session

    def of(
        self, box_id: uuid.UUID, accounts: Iterable[uuid.UUID]
    ) -> dict[uuid.UUID, list[HandedIn]]:
        """What these accounts handed in to a box, by account, oldest first."""
        found: dict[uuid.UUID, list[HandedIn]] = {account: [] for account in accounts}
        query = _joined().where(HandInRow.box_id == box_id, HandInRow.account_id.in_(list(found)))
        order = (HandInRow.create_time, HandInRow.hand_in_id)
        for row, share, document in self._session.execute(query.order_by(*order)):
            found[row.account_id].append(HandedIn(row, share, document))
        return found

    def add(self, box_id: str, piece_id: str, document: DocumentRow, events: Publisher) -> HandedIn:
        """Hands a document of its owner's in. One that is in already stays as it is.

        Raises:
            NotFound: the owner does not deposit in such a box, or it asks for no such piece.
            Conflict: the box is closed. InvalidInput: the piece does not accept the document.
            TooMany: too many are in for the piece.
        """
        box = self._locked(uuid.UUID(box_id), document.owner_id)
        piece = rules.piece(box.pieces, piece_id)
        of_piece = [
            item
            for item in self.of(box.box_id, [document.owner_id])[document.owner_id]
            if item.row.piece_id == piece_id
        ]
        for item in of_piece:
            if item.row.document_id == document.document_id and item.counts:
                return item
        if not box.open:
            raise Conflict("The box takes nothing any more.", reason="BOX_CLOSED")
        piece.require_accepts(document.media_type, document.size_bytes)
        if len(of_piece) >= rules.MAX_PER_PIECE:
            raise TooMany(f"At most {rules.MAX_PER_PIECE} documents are taken for one piece.")
        return self._added(box, piece_id, document, events)

    def _locked(self, box_id: uuid.UUID, account_id: uuid.UUID) -> BoxRow:
        """The box, not closed meanwhile; its depositor hands in one thing at a time."""
        query = (
            select(BoxRow, BoxDepositorRow)
            .join(BoxDepositorRow, BoxDepositorRow.box_id == BoxRow.box_id)
            .where(BoxRow.box_id == box_id, BoxDepositorRow.account_id == account_id)
            .with_for_update(of=BoxDepositorRow)
        )
        found = self._session.execute(query).first()
        if found is None:
            raise NotFound("No such box.", reason="BOX_NOT_FOUND")
        # With the lock, as it is now: closing it waits for whoever hands in.
        box: BoxRow = found[0]
        self._session.refresh(box, with_for_update={"read": True})
        return box

    def _added(
        self, box: BoxRow, piece_id: str, document: DocumentRow, events: Publisher
    ) -> HandedIn:
        shares = Shares(self._session)
        share = shares.give(
            document,
            Recipient(administration=box.administration),
            Terms(box.title, box.access_end_time),
            Origin(box_id=box.box_id),
        )
        row = HandInRow(
            hand_in_id=uuid.uuid4(),
            box_id=box.box_id,
            account_id=document.owner_id,
            piece_id=piece_id,
            share_id=share.share_id,
            document_id=document.document_id,
        )
        self._session.add(row)
        self._session.flush()
        if share.announced:
            events.publish(share.given(document.owner_id))
        events.publish(_told(events_pb2.DocumentHandedIn(), box, row))
        return HandedIn(row, share, document)

    def refuse(self, box: BoxRow, hand_in_id: str, explanation: str, events: Publisher) -> HandedIn:
        """Refuses what was handed in: its share ends, unless it is in for another piece too.

        Raises:
            NotFound: nothing of the kind was handed in to this box.
        """
        query = _joined().where(
            HandInRow.hand_in_id == uuid.UUID(hand_in_id), HandInRow.box_id == box.box_id
        )
        found = self._session.execute(query.with_for_update(of=[HandInRow, ShareRow])).first()
        if found is None:
            raise NotFound("Nothing of the kind was handed in.", reason="HAND_IN_NOT_FOUND")
        item = HandedIn(*found)
        if item.row.refuse_time is None:
            item.row.refuse_time, item.row.explanation = datetime.now(UTC), explanation
            self._session.flush()
            others = select(func.count()).where(
                HandInRow.share_id == item.row.share_id, HandInRow.refuse_time.is_(None)
            )
            if not self._session.scalar(others):
                Shares(self._session).end(item.row.share_id, End.RETURNED, events)
            events.publish(_told(events_pb2.HandInRefused(), box, item.row))
        return item

    def remind(self, events: Publisher) -> bool:
        """Reminds depositors whose time it is, if they miss something; true when more may wait."""
        query = (
            select(BoxDepositorRow, BoxRow)
            .join(BoxRow, BoxRow.box_id == BoxDepositorRow.box_id)
            .where(BoxDepositorRow.reminder_time <= func.now())
            .order_by(BoxDepositorRow.reminder_time)
            .limit(BATCH)
            .with_for_update(of=BoxDepositorRow, skip_locked=True)
        )
        found = self._session.execute(query).all()
        for depositor, box in found:
            # In the transaction of the event: each once, whatever falls in between.
            depositor.reminder_time = rules.next_reminder(box.deadline, datetime.now(UTC))
            account_id = depositor.account_id
            missing = missing_of(box, self.of(box.box_id, [account_id])[account_id])
            if box.open and missing:
                event = events_pb2.DepositorReminded(
                    box_id=str(box.box_id),
                    administration=box.administration,
                    account_id=str(account_id),
                    missing=len(missing),
                )
                event.deadline.FromDatetime(box.deadline)
                events.publish(event)
        return len(found) == BATCH


def _joined() -> Select[HandInRow, ShareRow, DocumentRow]:
    return (
        select(HandInRow, ShareRow, DocumentRow)
        .join(ShareRow, ShareRow.share_id == HandInRow.share_id)
        .join(DocumentRow, DocumentRow.document_id == HandInRow.document_id)
    )


def _told(event: Told, box: BoxRow, row: HandInRow) -> Told:
    """The event, with what was handed in to which box."""
    event.box_id, event.administration = str(box.box_id), box.administration
    event.account_id, event.hand_in_id = str(row.account_id), str(row.hand_in_id)
    event.piece_id, event.document_id = row.piece_id, str(row.document_id)
    return event
