"""Which act on a document is somebody else's, and what those whom it concerns are told of it."""

import uuid

from administration.identity.v1 import journal_pb2

from backbone.accesses import accessed, represented
from backbone.acting import Acting
from backbone.events import Publisher
from services.documents.content_row import ContentRow
from services.documents.documents import DocumentRow

DESCRIBE, READ, RECEIPT = "documents.describe", "documents.read", "documents.receipt"
HOLD, RELEASE = "documents.hold", "documents.release"
PREVIEW = "documents.preview"
SHARE = "documents.share"
# What only a representative does with what is another's.
LIST, DEPOSIT = "documents.list", "documents.deposit"


class Accesses:
    """Records the accesses of one transaction, which must have found them allowed.

    Raises, in each method:
        Unavailable: it cannot be recorded, so it must not happen.
    """

    def __init__(self, events: Publisher, acting: Acting) -> None:
        self._events, self._acting = events, acting

    def by_mandate(self, row: ContentRow, action: str) -> None:
        """What a representative does; nothing is told of who acts for themselves."""
        self._represented(action, ("document", str(row.told_id)))

    def of_list(self) -> None:
        """The same of all that somebody has."""
        self._represented(LIST, ("account", self._acting.principal_id))

    def by_share(self, row: DocumentRow, action: str, share_id: uuid.UUID) -> None:
        self._record(row, action, (journal_pb2.GROUNDS_SHARE, str(share_id)))

    def by_consent(self, row: DocumentRow, action: str, consent_id: uuid.UUID) -> None:
        self._record(row, action, (journal_pb2.GROUNDS_CONSENT, str(consent_id)))

    def by_hold(self, row: DocumentRow, action: str, hold_id: uuid.UUID) -> None:
        self._record(row, action, (journal_pb2.GROUNDS_LEGAL_HOLD, str(hold_id)))

    def _record(
        self, row: DocumentRow, action: str, grounds: tuple[journal_pb2.Grounds.ValueType, str]
    ) -> None:
        resource, actor = ("document", str(row.document_id)), self._acting.actor
        event = accessed(actor, str(row.owner_id), action, resource, grounds)
        if self._acting.mandate_id:
            # For a person: not as what else the representative is.
            event.actor_kind, event.administration = journal_pb2.ACTOR_KIND_PERSON, ""
        self._events.publish(event)
        # Whom a representative acts for is told as well as the owner.
        self._represented(action, resource)

    def _represented(self, action: str, resource: tuple[str, str]) -> None:
        if self._acting.mandate_id:
            self._events.publish(represented(self._acting, action, resource))
