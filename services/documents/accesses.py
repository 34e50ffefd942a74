"""Which reading of a document is somebody else's, and what its owner is told of it."""

import uuid

from administration.identity.v1 import journal_pb2
from sqlalchemy import select
from sqlalchemy.orm import Session

from backbone.accesses import accessed
from backbone.events import Publisher
from backbone.tokens import Caller
from services.documents.documents import DocumentRow, ShareRow

DESCRIBE, READ, RECEIPT = "documents.describe", "documents.read", "documents.receipt"
HOLD, RELEASE = "documents.hold", "documents.release"
PREVIEW = "documents.preview"


class Accesses:
    """Records the readings of one transaction, which must have found them allowed."""

    def __init__(self, session: Session, events: Publisher, caller: Caller) -> None:
        self._session, self._events, self._caller = session, events, caller

    def record(self, row: DocumentRow, action: str) -> None:
        """Raises:
        Unavailable: it cannot be recorded, so it must not happen.
        """
        if str(row.owner_id) == self._caller.subject:
            return
        resource = ("document", str(row.document_id))
        grounds = (journal_pb2.GROUNDS_SHARE, str(self._share(row.document_id)))
        self._events.publish(accessed(self._caller, str(row.owner_id), action, resource, grounds))

    def _share(self, document_id: uuid.UUID) -> uuid.UUID:
        return self._session.scalars(
            select(ShareRow.share_id).where(
                ShareRow.document_id == document_id,
                ShareRow.administration == self._caller.administration,
            )
        ).one()
