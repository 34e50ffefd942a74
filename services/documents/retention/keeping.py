"""Documents by how long they are kept, within one transaction."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from administration.documents.v1 import events_pb2
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from backbone import paging
from backbone.errors import Conflict, InvalidInput
from services.documents.documents import DocumentRow, State, no_such_document
from services.documents.domain.retention import RetentionClass
from services.documents.retention.destructions import Cause

# Nothing forbids to destroy it.
_FREE = and_(
    DocumentRow.holds == 0,
    or_(DocumentRow.retain_until.is_(None), DocumentRow.retain_until <= func.now()),
)
_ENDED = and_(
    DocumentRow.retain_until <= func.now(),
    DocumentRow.retention_ended.is_(False),
    DocumentRow.retention_class != "",
)


class Keeping:
    """The rows within one transaction. Those that it gives are locked, but for pages."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def owned(self, document_id: str, owner_id: uuid.UUID) -> DocumentRow:
        """Raises:
        NotFound: it does not exist, or is another's. Conflict: it is being checked.
        """
        return self._one(document_id, DocumentRow.owner_id == owner_id)

    def any(self, document_id: str) -> DocumentRow:
        """Raises:
        NotFound: it does not exist. Conflict: it is being checked.
        """
        return self._one(document_id)

    def _one(self, document_id: str, *conditions: ColumnElement[bool]) -> DocumentRow:
        query = select(DocumentRow).where(
            DocumentRow.document_id == uuid.UUID(document_id), *conditions
        )
        # The lock of one that is being checked is not waited for: a check may take minutes.
        checked = query.where(DocumentRow.state != State.CHECKING)
        row = self._session.scalar(checked.with_for_update()) or self._session.scalar(query)
        if row is None:
            raise no_such_document()
        if row.state == State.CHECKING:
            row.require_available()
        return row

    def trash(
        self, owner_id: str, page_size: int, page_token: str
    ) -> tuple[Sequence[DocumentRow], str]:
        """The owner's documents in the trash, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(DocumentRow).where(
            DocumentRow.owner_id == uuid.UUID(owner_id), DocumentRow.purge_time.is_not(None)
        )
        columns = (DocumentRow.create_time, DocumentRow.document_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def due(self, destroying: Collection[str]) -> tuple[DocumentRow, Cause] | None:
        """A document that is to be destroyed now, and why; `destroying` are the classes whose
        documents are at their end. None when no other is than those that somebody has locked.
        """
        causes: Mapping[Cause, ColumnElement[bool]] = {
            Cause.DELETED: DocumentRow.purge_time <= func.now(),
            Cause.EXPIRED: DocumentRow.expire_time <= func.now(),
            Cause.RETENTION_ENDED: and_(_ENDED, DocumentRow.retention_class.in_(destroying)),
        }
        for cause, condition in causes.items():
            row = self._first(_FREE, condition)
            if row is not None:
                return row, cause
        return None

    def ended(self, destroying: Collection[str]) -> DocumentRow | None:
        """A document at whose end somebody is to be told."""
        return self._first(_ENDED, DocumentRow.retention_class.not_in(destroying))

    def erasable(self, owner_id: uuid.UUID, limit: int) -> Sequence[DocumentRow]:
        """Documents of a person who is erased, but for those under a legal hold."""
        query = select(DocumentRow).where(DocumentRow.owner_id == owner_id, DocumentRow.holds == 0)
        return self._session.scalars(query.limit(limit).with_for_update()).all()

    def held(self, owner_id: uuid.UUID) -> int:
        """How many documents of an owner are under a legal hold."""
        query = select(func.count()).where(DocumentRow.owner_id == owner_id, DocumentRow.holds > 0)
        return self._session.scalar(query) or 0

    def _first(self, *conditions: ColumnElement[bool]) -> DocumentRow | None:
        query = select(DocumentRow).where(*conditions).limit(1)
        return self._session.scalar(query.with_for_update(skip_locked=True))


def retain(row: DocumentRow, chosen: RetentionClass, now: datetime) -> events_pb2.RetentionSet:
    """Gives a document a class; the event that tells.

    Raises:
        InvalidInput: its time is over already. Conflict: it is kept for longer, or cannot be kept.
    """
    row.require_available()
    row.require_not_trashed()
    if row.expire_time is not None:
        detail = f"The document was made for a while, until {row.expire_time.isoformat()}."
        raise Conflict(detail, reason="DOCUMENT_EXPIRES")
    try:
        end = chosen.end(row.create_time)
    except (OverflowError, ValueError):
        raise InvalidInput.field(
            "retention_class", "BEYOND", "lasts beyond the year 9999"
        ) from None
    if end <= now:
        words = f"ended for this document at {end.isoformat()}: choose one that lasts"
        raise InvalidInput.field("retention_class", "ENDED", words)
    if row.retain_until is not None and end < row.retain_until:
        detail = (
            f"The document is kept until {row.retain_until.isoformat()}: a retention may be"
            " lengthened, and never shortened."
        )
        raise Conflict(detail, reason="RETENTION_SHORTENED")
    row.retention_class, row.retain_until = chosen.name, end
    row.retention_ended, row.lock_pending = False, True
    event = events_pb2.RetentionSet(
        document_id=str(row.document_id),
        owner_id=str(row.owner_id),
        retention_class=chosen.name,
    )
    event.retain_until.FromDatetime(end)
    return event


def require_deletable(row: DocumentRow, basis: str) -> None:
    """Raises:
    Conflict: its retention has not ended: until when, and on what basis.
    """
    if row.retained() and row.retain_until is not None:
        raise Conflict(
            f"The document must be kept until {row.retain_until.isoformat()}: {basis}.",
            reason="DOCUMENT_RETAINED",
        )
