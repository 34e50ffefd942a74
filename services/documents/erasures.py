"""Persons who are to be forgotten, as documents stores them, within one transaction."""

import uuid
from collections.abc import Iterator
from datetime import datetime

from administration.identity.v1 import events_pb2
from sqlalchemy import BigInteger, DateTime, exists, or_, select
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import personal_data
from backbone.database import Base
from backbone.events import Publisher
from backbone.personal_data import Item
from services.documents import quotas
from services.documents.boxes.boxes import Boxes
from services.documents.documents import DocumentRow
from services.documents.exports import Exports
from services.documents.finding import search_keys
from services.documents.retention.destroying import Destroying
from services.documents.retention.destructions import Destructions
from services.documents.retention.keeping import Keeping
from services.documents.sharing.sharing import Shares
from services.documents.store import ObjectStore
from services.documents.unpacking.unpackings import Unpackings
from services.documents.uploads import Uploads

SERVICE = "documents"
BATCH = 20
# Why something of a person is kept.
LEGAL_HOLD = "LEGAL_HOLD"


class ErasureRow(Base):
    """An erasure that is under way; deleted with the event that says that nothing is left."""

    __tablename__ = "vault_erasures"

    erasure_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    documents: Mapped[int] = mapped_column(BigInteger)
    # Certificates of earlier destructions, shares with the person, boxes that they joined.
    destructions: Mapped[int] = mapped_column(BigInteger, default=0)
    shares: Mapped[int] = mapped_column(BigInteger, default=0)
    boxes: Mapped[int] = mapped_column(BigInteger, default=0)
    # Objects of theirs, of whichever version, that the store keeps until then and nobody can read.
    locked: Mapped[int] = mapped_column(BigInteger, default=0)
    locked_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # How many are kept by a legal hold, once that was told: it goes on when one is free.
    held: Mapped[int] = mapped_column(BigInteger, default=0)


class Erasures:
    """Erasures within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, started: events_pb2.ErasureStarted) -> None:
        statement = insert(ErasureRow).values(
            erasure_id=uuid.UUID(started.erasure_id),
            account_id=uuid.UUID(started.account_id),
            documents=0,
            destructions=0,
            shares=0,
            boxes=0,
            locked=0,
            held=0,
        )
        self._session.execute(statement.on_conflict_do_nothing())
        # It would go on adding documents to those that are destroyed.
        Unpackings(self._session).forget(uuid.UUID(started.account_id))

    def concerns(self, account_id: uuid.UUID) -> bool:
        """Whether a person is erased, but for what is held."""
        query = select(exists().where(ErasureRow.account_id == account_id))
        return bool(self._session.scalar(query))

    def step(self, store: ObjectStore, events: Publisher) -> bool:
        """Destroys some documents of one person, or says what became of them all; true when there
        was something to do.

        Raises:
            Unavailable: the object store does not answer; it is tried again.
        """
        erasure = self._next()
        if erasure is None:
            return False
        keeping, destroying = Keeping(self._session), Destroying(self._session, store)
        rows = keeping.erasable(erasure.account_id, BATCH)
        for row in rows:
            self._erase(erasure, row, destroying)
        if rows:
            # Told anew once there is no more to destroy.
            erasure.held = 0
        else:
            erasure.held = keeping.held(erasure.account_id)
            self._tell(erasure, events)
            if not erasure.held:
                quotas.forget(self._session, erasure.account_id)
                self._session.delete(erasure)
        return True

    def _next(self) -> ErasureRow | None:
        """An erasure that can go on: one that only waits for legal holds cannot."""
        # Of documents: a row of another version has no holds, and says nothing of what is free.
        theirs = select(DocumentRow.document_id).where(
            DocumentRow.owner_id == ErasureRow.account_id
        )
        goes_on = or_(
            ErasureRow.held == 0,
            theirs.where(DocumentRow.holds == 0).exists(),
            ~theirs.exists(),
        )
        query = select(ErasureRow).where(goes_on).limit(1)
        return self._session.scalar(query.with_for_update(skip_locked=True))

    def _erase(self, erasure: ErasureRow, row: DocumentRow, destroying: Destroying) -> None:
        erasure.documents += 1
        for lock in destroying.erase(row):
            erasure.locked += 1
            ends = [time for time in (erasure.locked_until, lock.until) if time is not None]
            erasure.locked_until = max(ends, default=None)

    def _tell(self, erasure: ErasureRow, events: Publisher) -> None:
        Exports(self._session).forget(erasure.account_id)
        erasure.destructions += Destructions(self._session, erasure.account_id).forget()
        erasure.shares += Shares(self._session).forget_recipient(erasure.account_id)
        erasure.boxes += Boxes(self._session).forget(erasure.account_id)
        counts = {
            "document": erasure.documents,
            "destruction": erasure.destructions,
            "share_received": erasure.shares,
            "box_joined": erasure.boxes,
        }
        search_keys.forget(self._session, erasure.account_id)
        Uploads(self._session).forget(erasure.account_id)
        started = events_pb2.ErasureStarted(
            erasure_id=str(erasure.erasure_id), account_id=str(erasure.account_id)
        )
        events.publish(personal_data.erased(SERVICE, started, counts, _kept(erasure)))


def _kept(erasure: ErasureRow) -> Iterator[Item]:
    """What is still there: bytes that nobody can read, and documents under a legal hold."""
    if erasure.locked:
        item = Item(kind="unreadable_object", count=erasure.locked)
        if erasure.locked_until is not None:
            item.retained_until.FromDatetime(erasure.locked_until)
        yield item
    if erasure.held:
        yield Item(kind="document", count=erasure.held, retained_by=LEGAL_HOLD)
