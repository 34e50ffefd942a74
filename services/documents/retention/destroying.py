"""Destroying documents: the bytes first, then the row, with what proves it."""

import logging
from datetime import UTC, datetime

from administration.documents.v1 import events_pb2, retention_pb2
from prometheus_client import Counter
from sqlalchemy.orm import Session

from backbone.events import Publisher
from backbone.receipts.notes import Signer
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
        lock = self._delete(row)
        if lock is not None:
            _put_off(row, lock)
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

    def erase(self, row: DocumentRow) -> Locked | None:
        """Destroys a document of a person who is erased: nobody can read its bytes any more, though
        a retention may have the store keep them. Then, its lock.

        Raises:
            Unavailable: as above.
        """
        lock = self._delete(row)
        if lock is not None:
            LockedObjects(self._session).add(row.key, lock)
        Documents(self._session).remove(row)
        DESTROYED.labels("erased").inc()
        return lock

    def _delete(self, row: DocumentRow) -> Locked | None:
        """Deletes the object, or tells what keeps it."""
        # A legal hold that was released may be on it still.
        Locks(self._session, self._store).apply(row)
        try:
            self._store.delete(row.key)
        except Locked as lock:
            return lock
        return None


def _put_off(row: DocumentRow, lock: Locked) -> None:
    """The store keeps it for longer than we know of: that counts."""
    log.warning("document %s is not destroyed: %s", row.document_id, lock)
    row.retain_until = lock.until or datetime.now(UTC) + PAUSE
