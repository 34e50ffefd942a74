"""What somebody else does with a person's documents, and what the person is told of it."""

import uuid

from administration.identity.v1 import journal_pb2
from sqlalchemy import select
from sqlalchemy.orm import Session

from backbone.accesses import accessed, represented
from backbone.acting import Acting
from backbone.events import Publisher
from services.documents.documents import DocumentRow, ShareRow

DESCRIBE, READ, RECEIPT = "documents.describe", "documents.read", "documents.receipt"
# What only a representative does with what is another's.
LIST, DEPOSIT, SHARE = "documents.list", "documents.deposit", "documents.share"


class Accesses:
    """Records the accesses of one transaction, which must have found them allowed."""

    def __init__(self, session: Session, events: Publisher, acting: Acting) -> None:
        self._session, self._events, self._acting = session, events, acting

    def record(self, row: DocumentRow, action: str) -> None:
        """Raises:
        Unavailable: it cannot be recorded, so it must not happen.
        """
        actor, owner_id = self._acting.actor, str(row.owner_id)
        resource = ("document", str(row.document_id))
        if self._acting.mandate_id:
            self._events.publish(represented(self._acting, action, resource))
        elif owner_id != actor.subject:
            grounds = (journal_pb2.GROUNDS_SHARE, str(self._share(row.document_id)))
            self._events.publish(accessed(actor, owner_id, action, resource, grounds))

    def record_list(self) -> None:
        """Raises:
        Unavailable: as above.
        """
        if self._acting.mandate_id:
            resource = ("account", self._acting.principal_id)
            self._events.publish(represented(self._acting, LIST, resource))

    def _share(self, document_id: uuid.UUID) -> uuid.UUID:
        return self._session.scalars(
            select(ShareRow.share_id).where(
                ShareRow.document_id == document_id,
                ShareRow.administration == self._acting.administration,
            )
        ).one()
