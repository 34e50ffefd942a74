"""Destroying documents: the bytes first, then the row, with what proves it."""

import logging
from collections.abc import Collection
from datetime import UTC, datetime

from administration.documents.v1 import events_pb2, retention_pb2
from prometheus_client import Counter
from sqlalchemy import select
from sqlalchemy.orm import Session

from backbone.events import Publisher
from backbone.receipts.notes import Signer
from services.documents.content_row import ContentRow
from services.documents.documents import DocumentRow, Documents
from services.documents.retention.classes import Classes
from services.documents.retention.destructions import Destructions
from services.documents.retention.keeping import Keeping
from services.documents.retention.locked import PAUSE, LockedObjects
from services.documents.retention.locks import Locks
from services.documents.store import Locked, ObjectStore

log = logging.getLogger(__name__)

DESTROYED = Counter("documents_destroyed_total", "Documents destroyed, by their cause.", ["cause"])


class Destroying:
    """Destroys documents within one transaction, which has locked their rows.

    The object goes before the commit: a row without its object is found again, and deleting what
    is gone is nothing.
    """

    def __init__(self, session: Session, store: ObjectStore) -> None:
        self._session, self._store = session, store

    def step(self, events: Publisher, classes: Classes, signer: Signer) -> bool:
        """Destroys one document that is due, with its certificate; False when there is none.

        Raises:
            Unavailable: the object store does not answer; it is tried again.
        """
        due = Keeping(self._session).due(classes.destroying())
        if due is None:
            return False
        row, cause = due
        locks = self._delete(row)
        if locks:
            _put_off(row, locks.values())
            return True
        found = classes.find(row.retention_class)
        record = Destructions(self._session, row.owner_id).add(
            row, cause, found.basis if found else "", signer
        )
        Documents(self._session).remove(row)
        event = events_pb2.DocumentDestroyed(
            document_id=str(row.document_id),
            owner_id=str(row.owner_id),
            cause=retention_pb2.DestructionCause.Value(f"DESTRUCTION_CAUSE_{cause}"),
            retention_class=row.retention_class,
        )
        event.destroy_time.FromDatetime(record.destroy_time)
        events.publish(event)
        DESTROYED.labels(cause.lower()).inc()
        return True

    def erase(self, row: DocumentRow) -> Collection[Locked]:
        """Destroys a document of a person who is erased: nobody can read its bytes any more, though
        a retention may have the store keep them. The locks of the objects that it keeps.

        Raises:
            Unavailable: as above.
        """
        locks = self._delete(row)
        for key, lock in locks.items():
            LockedObjects(self._session).add(key, lock)
        Documents(self._session).remove(row)
        DESTROYED.labels("erased").inc()
        return locks.values()

    def _delete(self, row: DocumentRow) -> dict[str, Locked]:
        """Deletes the objects of all its versions, or tells what keeps them, by their keys."""
        # One that is being checked is waited for: its check may bring the bytes.
        versions = select(ContentRow.document_id).where(ContentRow.version_of == row.document_id)
        self._session.scalars(versions.with_for_update()).all()
        # A legal hold that was released may be on them still.
        Locks(self._session, self._store).apply(row)
        locks = {}
        for key in Documents(self._session).keys(row):
            try:
                self._store.delete(key)
            except Locked as lock:
                locks[key] = lock
        return locks


def _put_off(row: DocumentRow, locks: Collection[Locked]) -> None:
    """The store keeps it for longer than we know of: that counts."""
    longest = max(locks, key=_end)
    log.warning("document %s is not destroyed: %s", row.document_id, longest)
    row.retain_until = _end(longest)


def _end(lock: Locked) -> datetime:
    """When it is over; of one without an end, when to try again."""
    return lock.until or datetime.now(UTC) + PAUSE
