"""Which reading of a document is somebody else's, and what its owner is told of it."""

import uuid

from administration.identity.v1 import journal_pb2

from backbone.accesses import accessed
from backbone.events import Publisher
from backbone.tokens import Caller
from services.documents.documents import DocumentRow

DESCRIBE, READ, RECEIPT = "documents.describe", "documents.read", "documents.receipt"
HOLD, RELEASE = "documents.hold", "documents.release"
PREVIEW = "documents.preview"
SHARE = "documents.share"


class Accesses:
    """Records the accesses of one transaction, which must have found them allowed."""

    def __init__(self, events: Publisher, caller: Caller) -> None:
        self._events, self._caller = events, caller

    def by_share(self, row: DocumentRow, action: str, share_id: uuid.UUID) -> None:
        """Raises:
        Unavailable: it cannot be recorded, so it must not happen.
        """
        self._record(row, action, (journal_pb2.GROUNDS_SHARE, str(share_id)))

    def by_consent(self, row: DocumentRow, action: str, consent_id: uuid.UUID) -> None:
        """Raises:
        Unavailable: as above.
        """
        self._record(row, action, (journal_pb2.GROUNDS_CONSENT, str(consent_id)))

    def _record(
        self, row: DocumentRow, action: str, grounds: tuple[journal_pb2.Grounds.ValueType, str]
    ) -> None:
        resource = ("document", str(row.document_id))
        self._events.publish(accessed(self._caller, str(row.owner_id), action, resource, grounds))
