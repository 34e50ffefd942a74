"""Persons who are to be forgotten, as documents stores them, within one transaction."""

import uuid

from administration.identity.v1 import events_pb2
from sqlalchemy import BigInteger, select
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import personal_data
from backbone.database import Base
from backbone.events import Publisher
from services.documents.boxes.boxes import Boxes
from services.documents.documents import Documents
from services.documents.exports import Exports
from services.documents.sharing.sharing import Shares
from services.documents.store import ObjectStore

SERVICE = "documents"
BATCH = 20


class ErasureRow(Base):
    """An erasure that is under way; deleted with the event that says it is done."""

    __tablename__ = "vault_erasures"

    erasure_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    documents: Mapped[int] = mapped_column(BigInteger)


class Erasures:
    """Erasures within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, started: events_pb2.ErasureStarted) -> None:
        statement = insert(ErasureRow).values(
            erasure_id=uuid.UUID(started.erasure_id),
            account_id=uuid.UUID(started.account_id),
            documents=0,
        )
        self._session.execute(statement.on_conflict_do_nothing())

    def step(self, store: ObjectStore, events: Publisher) -> bool:
        """Destroys some documents of one person, or says that all are; true when there was one.

        Raises:
            Unavailable: the object store does not answer; it is tried again.
        """
        query = select(ErasureRow).limit(1).with_for_update(skip_locked=True)
        erasure = self._session.scalar(query)
        if erasure is None:
            return False
        documents = Documents(self._session)
        rows = documents.of(str(erasure.account_id), BATCH)
        for row in rows:
            # Before the commit: a row without its object is found here again.
            store.delete(row.key)
            documents.remove(row)
        erasure.documents += len(rows)
        if not rows:
            self._finish(erasure, events)
        return True

    def _finish(self, erasure: ErasureRow, events: Publisher) -> None:
        Exports(self._session).forget(erasure.account_id)
        counts = {
            "document": erasure.documents,
            "share_received": Shares(self._session).forget_recipient(erasure.account_id),
            "box_joined": Boxes(self._session).forget(erasure.account_id),
        }
        started = events_pb2.ErasureStarted(
            erasure_id=str(erasure.erasure_id), account_id=str(erasure.account_id)
        )
        events.publish(personal_data.erased(SERVICE, started, counts))
        self._session.delete(erasure)
