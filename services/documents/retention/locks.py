"""What was decided of a document, as locks of the object store.

The decision is committed first, and counts from then on, whatever the store does; `lock_pending`
says that the store is yet to be told. So a crash or an outage leaves a lock that is placed later,
and never one that nobody asked for: a retention in the store cannot be taken back.
"""

import logging
import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.documents.content_row import ContentRow, State
from services.documents.documents import DocumentRow, Documents
from services.documents.retention.holds import Holds
from services.documents.store import Locked, ObjectStore

log = logging.getLogger(__name__)


class Locks:
    """The locks of objects, those of all versions of a document, from within one transaction."""

    def __init__(self, session: Session, store: ObjectStore) -> None:
        self._session, self._store = session, store

    def settle(self, document_id: str = "") -> bool:
        """Locks the object of this document, or of any, as was decided; False when none waits.

        Raises:
            Unavailable: the object store does not answer; it is tried again.
        """
        query = select(DocumentRow).where(DocumentRow.lock_pending)
        if document_id:
            query = query.where(DocumentRow.document_id == uuid.UUID(document_id))
        row = self._session.scalar(query.limit(1).with_for_update(skip_locked=True))
        if row is None:
            return False
        self.apply(row)
        return True

    def apply(self, row: DocumentRow) -> None:
        """The same for a row that is locked, if it waits."""
        if not row.lock_pending:
            return
        # Where we never placed a hold, one that is there is somebody else's.
        holding = Holds(self._session).known(row.document_id)
        until = row.retain_until
        # One that is being checked may be refused, and what is refused is not kept: `versions.py`
        # has it locked once it is accepted.
        for key in Documents(self._session).keys(row, ContentRow.state == State.AVAILABLE):
            self._retain(row, key)
            if holding:
                self._store.hold(key, on=row.holds > 0)
        # What the store keeps for longer lengthens it for the other versions too.
        row.lock_pending = row.retain_until != until

    def _retain(self, row: DocumentRow, key: str) -> None:
        if row.retained() and row.retain_until is not None:
            try:
                self._store.retain(key, row.retain_until)
            except Locked as error:
                # Longer than we know of, from a database that was lost: the store is right.
                log.warning("document %s is kept until %s by the store", row.told_id, error.until)
                row.retain_until = error.until
