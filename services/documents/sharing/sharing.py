"""Shares within one transaction: given, found, claimed, ended."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from administration.documents.v1 import sharing_pb2
from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from backbone import paging
from backbone.acting import Acting
from backbone.errors import Gone, NotFound
from backbone.events import Publisher
from backbone.tokens import Caller
from services.documents.documents import (
    DocumentRow,
    Documents,
    State,
    no_such_document,
    subject_id,
)
from services.documents.domain.sharing import OWN, Origin, Recipient, Terms
from services.documents.sharing.shares import End, ShareRow, standing

BATCH = 100
# For how long after its first byte whoever reads what is to be read once may go on with it.
RESUME = timedelta(minutes=10)
_COLUMNS = (ShareRow.create_time, ShareRow.share_id)
_STANDING_KEY = ["document_id", "administration", "account_id", "shared_by", "box_id"]


class Shares:
    def __init__(self, session: Session) -> None:
        self._session = session

    def give(
        self, row: DocumentRow, recipient: Recipient, terms: Terms, origin: Origin = OWN
    ) -> ShareRow:
        """Shares a document, or replaces the terms of what is shared with them in the same way.

        Of one that cannot be read yet, `announce` tells once it can be.
        """
        values = {
            "purpose": terms.purpose,
            "expire_time": terms.expire_time,
            "read_once": terms.read_once,
            "watermark": terms.watermark,
            "consent_id": origin.consent_id,
            "reader_id": None,
            "read_time": None,
            "announced": row.state == State.AVAILABLE,
        }
        statement = insert(ShareRow).values(
            share_id=uuid.uuid4(),
            document_id=row.document_id,
            administration=recipient.administration,
            account_id=recipient.account_id,
            shared_by=origin.shared_by,
            box_id=origin.box_id,
            **values,
        )
        return self._session.scalars(
            statement.on_conflict_do_update(
                index_elements=_STANDING_KEY,
                index_where=ShareRow.end_time.is_(None),
                set_=values,
            ).returning(ShareRow),
            execution_options={"populate_existing": True},
        ).one()

    def readable(self, document_id: str, acting: Acting) -> tuple[DocumentRow, Sequence[ShareRow]]:
        """A document and the shares that may let the caller read it, the one that asks least of
        them first; none for its owner.

        Raises:
            NotFound: it does not exist, or is not the caller's to see.
        """
        row = Documents(self._session).known(document_id)
        trashed = row.purge_time is not None
        if row.owner_id == subject_id(acting.principal_id) and not (trashed and acting.mandate_id):
            return row, ()
        query = select(ShareRow).where(
            ShareRow.document_id == row.document_id, standing(), _received_by(acting)
        )
        order = (ShareRow.read_once, ShareRow.watermark, ShareRow.consent_id.isnot(None))
        shares = self._session.scalars(query.order_by(*order, ShareRow.expire_time.desc())).all()
        # What was handed in to a box can be shared before it was checked; what is in the trash
        # nobody else sees, nor who acts for its owner.
        if not shares or row.state != State.AVAILABLE or trashed:
            raise no_such_document()
        return row, shares

    def confirm(self, share_id: uuid.UUID) -> None:
        """Raises:
        NotFound: the share does not stand any more.
        """
        if share_id not in self.standing([share_id]):
            raise no_such_document()

    def standing(self, share_ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        """Those of these shares that stand, and whose document is not in the trash."""
        query = (
            select(ShareRow.share_id)
            .join(DocumentRow, DocumentRow.document_id == ShareRow.document_id)
            .where(ShareRow.share_id.in_(list(share_ids)), standing(), DocumentRow.readable())
        )
        return set(self._session.scalars(query))

    def claim(self, share_id: uuid.UUID, caller: Caller) -> None:
        """Makes the caller the only one who reads what is to be read once.

        Raises:
            Gone: another is, or the time to go on reading is over. NotFound: it does not stand.
        """
        query = select(ShareRow).where(ShareRow.share_id == share_id, standing())
        share = self._session.scalar(
            query.with_for_update(), execution_options={"populate_existing": True}
        )
        if share is None:
            raise no_such_document()
        reader, now = subject_id(caller.subject), datetime.now(UTC)
        if share.reader_id is None or share.read_time is None:
            share.reader_id, share.read_time = reader, now
        elif share.reader_id != reader or share.read_time + RESUME <= now:
            raise Gone("It was shared to be read once, and was read.", reason="READ_ONCE")

    def page(
        self, document_id: uuid.UUID, page_size: int, page_token: str
    ) -> tuple[Sequence[ShareRow], str]:
        """A document's shares, those that ended too, newest first, and the next page's token.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(ShareRow).where(ShareRow.document_id == document_id)
        return paging.newest_first(self._session, query, _COLUMNS, page_size, page_token)

    def owned_page(self, owner_id: str, page_token: str) -> tuple[Sequence[ShareRow], str]:
        """All shares of an owner's documents, likewise."""
        owned = select(DocumentRow.document_id).where(DocumentRow.owner_id == subject_id(owner_id))
        query = select(ShareRow).where(ShareRow.document_id.in_(owned))
        return paging.newest_first(self._session, query, _COLUMNS, 0, page_token)

    def received_page(
        self, acting: Acting, page_size: int, page_token: str
    ) -> tuple[list[sharing_pb2.ReceivedShare], str]:
        """What is shared with a caller now, likewise."""
        return self._received(_received_by(acting), page_size, page_token)

    def received_by_account(
        self, account_id: str, page_token: str
    ) -> tuple[list[sharing_pb2.ReceivedShare], str]:
        """What is shared with an account now, likewise."""
        return self._received(ShareRow.account_id == subject_id(account_id), 0, page_token)

    def _received(
        self, condition: ColumnElement[bool], page_size: int, page_token: str
    ) -> tuple[list[sharing_pb2.ReceivedShare], str]:
        readable = select(DocumentRow.document_id).where(
            DocumentRow.document_id == ShareRow.document_id, DocumentRow.readable()
        )
        query = select(ShareRow).where(condition, standing(), readable.exists())
        rows, token = paging.newest_first(self._session, query, _COLUMNS, page_size, page_token)
        owners = self._owners({row.document_id for row in rows})
        return [row.received(owners[row.document_id]) for row in rows], token

    def _owners(self, document_ids: set[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
        query = select(DocumentRow.document_id, DocumentRow.owner_id)
        found = self._session.execute(query.where(DocumentRow.document_id.in_(document_ids)))
        return dict(found.tuples().all())

    def revoke(self, row: DocumentRow, share_id: str, events: Publisher) -> ShareRow:
        """Ends a share of a document; one that ended stays as it is.

        Raises:
            NotFound: the document has no such share.
        """
        query = select(ShareRow).where(
            ShareRow.share_id == uuid.UUID(share_id), ShareRow.document_id == row.document_id
        )
        share = self._session.scalar(query.with_for_update())
        if share is None:
            raise NotFound("No such share.", reason="SHARE_NOT_FOUND")
        now = datetime.now(UTC)
        if share.end_time is None and share.expire_time > now:
            _over(share, row.owner_id, End.REVOKED, now, events)
        return share

    def end(self, share_id: uuid.UUID, cause: End, events: Publisher) -> None:
        """Ends a share now, unless it has ended."""
        self._end(ShareRow.share_id == share_id, cause, events)

    def end_of_consent(self, consent_id: str, events: Publisher) -> None:
        """Ends what stands on a consent."""
        self._end(ShareRow.consent_id == uuid.UUID(consent_id), End.CONSENT_REVOKED, events)

    def _end(self, condition: ColumnElement[bool], cause: End, events: Publisher) -> None:
        # In one order, so that two who end several do not wait for each other.
        query = self._unended().where(condition, standing()).order_by(ShareRow.share_id)
        for share, owner_id in self._session.execute(query.with_for_update(of=ShareRow)):
            _over(share, owner_id, cause, datetime.now(UTC), events)

    def end_those_over(self, events: Publisher) -> bool:
        """Notes the end of shares that ended by themselves; true when more may wait."""
        spent = and_(ShareRow.read_once, ShareRow.read_time <= func.now() - RESUME)
        query = self._unended().where(or_(ShareRow.expire_time <= func.now(), spent)).limit(BATCH)
        found = self._session.execute(query.with_for_update(of=ShareRow, skip_locked=True)).all()
        now = datetime.now(UTC)
        for share, owner_id in found:
            if share.read_once and share.read_time is not None and share.expire_time > now:
                _over(share, owner_id, End.READ, share.read_time + RESUME, events)
            else:
                _over(share, owner_id, End.EXPIRED, share.expire_time, events)
        return len(found) == BATCH

    def _unended(self) -> Select[ShareRow, uuid.UUID]:
        return (
            select(ShareRow, DocumentRow.owner_id)
            .join(DocumentRow, DocumentRow.document_id == ShareRow.document_id)
            .where(ShareRow.end_time.is_(None))
        )

    def announce(self, events: Publisher) -> bool:
        """Tells of shares of documents that could not be read when they were shared, and can be
        now; true when more may wait.
        """
        query = self._unended().where(ShareRow.announced.is_(False), DocumentRow.readable())
        query = query.where(standing()).limit(BATCH).with_for_update(of=ShareRow, skip_locked=True)
        found = self._session.execute(query).all()
        for share, owner_id in found:
            share.announced = True
            events.publish(share.given(owner_id))
        return len(found) == BATCH

    def forget_recipient(self, account_id: uuid.UUID) -> int:
        """Deletes what was shared with an account; how many shares."""
        gone = delete(ShareRow).where(ShareRow.account_id == account_id)
        return self._session.connection().execute(gone).rowcount


def _over(
    share: ShareRow, owner_id: uuid.UUID, cause: End, moment: datetime, events: Publisher
) -> None:
    event = share.over(owner_id, cause, moment)
    # Who was never told of its beginning is not told of its end.
    if share.announced:
        events.publish(event)


def _received_by(acting: Acting) -> ColumnElement[bool]:
    return or_(
        ShareRow.account_id == subject_id(acting.principal_id),
        and_(ShareRow.administration == acting.administration, ShareRow.administration != ""),
    )
