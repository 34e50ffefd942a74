"""Versions of documents, within one transaction.

A document's row has the version that it shows. A new one is a row beside it until it is accepted;
then the two exchange their contents, so that whatever refers to the document shows the new one,
and the row beside it has the earlier one, with its key, its place in the log and its number.
"""

import uuid
from collections.abc import Collection, Sequence

from administration.documents.v1 import events_pb2, versions_pb2
from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session, selectin_polymorphic

from backbone import paging
from backbone.errors import Conflict, NotFound, PreconditionFailed
from services.documents.content_row import (
    ContentRow,
    State,
    reason_word,
    remark_words,
    state_word,
)
from services.documents.documents import DocumentRow

# What makes up a content, and with which it is read.
_CONTENT = (
    "content_id", "media_type", "size_bytes", "sha256", "owner_key_id", "sealed_key", "remarks",
    "to_read", "verified_time", "reread_time", "damage_time",
)  # fmt: skip
# What goes from row to row with it: all but what the row is of.
_FACTS = (
    *_CONTENT, "version", "restored_from", "name", "deposit_time", "leaf_index", "leaf_salt",
    "state", "refusal", "check_time", "check_tries", "check_failures", "traceparent", "quarantined",
    "payer",
)  # fmt: skip


class VersionRow(ContentRow):
    """A version that its document does not show: an earlier one, one that is being checked or that
    was refused.
    """

    __mapper_args__ = {"polymorphic_identity": "version"}  # noqa: RUF012


class Versions:
    def __init__(self, session: Session) -> None:
        self._session = session

    def page(
        self, document: DocumentRow, page_size: int, page_token: str
    ) -> tuple[Sequence[ContentRow], str]:
        """A document's versions, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        columns = (ContentRow.version,)
        query = _versions(document)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def beside(self, owner_id: uuid.UUID) -> Sequence[ContentRow]:
        """Every version of an owner's documents that these do not show."""
        query = select(VersionRow).where(VersionRow.owner_id == owner_id)
        return self._session.scalars(query.order_by(VersionRow.deposit_time)).all()

    def one(self, document: DocumentRow, version: int) -> ContentRow:
        """Raises:
        NotFound: the document has no such version.
        """
        row = self._session.scalar(_versions(document).where(ContentRow.version == version))
        if row is None:
            raise no_such_version()
        return row

    def deposited(self, content_id: uuid.UUID, owner_id: uuid.UUID) -> ContentRow | None:
        """The version that was deposited with this content; where a document shows it, the whole of
        its row.
        """
        query = select(ContentRow).where(
            ContentRow.content_id == content_id,
            ContentRow.owner_id == owner_id,
            ContentRow.restored_from == 0,
        )
        return self._session.scalar(query.options(selectin_polymorphic(ContentRow, [DocumentRow])))

    def require_newest(self, document: DocumentRow, replaces: Collection[str]) -> None:
        """That a document's newest content, shown or still being checked, has one of these SHA-256;
        none of them: whatever it has.

        Raises:
            PreconditionFailed: it has another.
        """
        if not replaces:
            return
        query = select(ContentRow.sha256).where(
            _of(document.document_id), ContentRow.state != State.REFUSED
        )
        if self._session.scalar(query.order_by(ContentRow.version.desc()).limit(1)) not in replaces:
            raise PreconditionFailed(
                "The document has another content by now: read it again.",
                reason="CONTENT_CHANGED",
            )

    def add(self, document: DocumentRow, row: VersionRow) -> None:
        """Adds the next version of a document that this transaction has locked.

        Raises:
            Conflict: it is in the trash.
        """
        document.require_not_trashed()
        row.version_of, row.owner_id = document.document_id, document.owner_id
        query = select(func.max(ContentRow.version)).where(_of(document.document_id))
        row.version = (self._session.scalar(query) or 0) + 1
        self._session.add(row)
        self._session.flush()

    def restore(
        self, document: DocumentRow, version: int, payer: str
    ) -> events_pb2.VersionRestored:
        """Makes a version's content the next one's, which the document, locked by this transaction,
        shows from now on; the event that tells. The bytes are not copied, nor checked again.

        Raises:
            NotFound: there is none. Conflict: it cannot be read, or is shown already.
        """
        source = self.one(document, version)
        source.require_available()
        if source is document:
            raise Conflict("The document shows this version already.", reason="VERSION_CURRENT")
        row = VersionRow(
            document_id=uuid.uuid4(),
            name=source.name,
            restored_from=version,
            payer=payer,
            state=State.AVAILABLE,
            **{fact: getattr(source, fact) for fact in _CONTENT},
        )
        self.add(document, row)
        event = events_pb2.VersionRestored(
            document_id=str(document.document_id),
            owner_id=str(document.owner_id),
            version=row.version,
            restored_version=version,
        )
        self._exchange(document, row)
        return event

    def accepted(self, row: VersionRow) -> None:
        """Has the document of a version that became available show it, unless it shows a later one.

        The document is locked last, as whoever deposits waits for nothing but it.
        """
        self._session.flush()
        document = self._session.scalar(
            select(DocumentRow)
            .where(DocumentRow.document_id == row.version_of)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        if document is None:
            return
        document.lock_again()
        if document.state != State.AVAILABLE or document.version < row.version:
            self._exchange(document, row)

    def _exchange(self, one: DocumentRow, other: VersionRow) -> None:
        one.look_again()
        held = {fact: getattr(one, fact) for fact in _FACTS}
        for fact in _FACTS:
            setattr(one, fact, getattr(other, fact))
        # Before the other: a place in the log is nobody else's, and a version that was just
        # accepted has none.
        self._session.flush()
        for fact, value in held.items():
            setattr(other, fact, value)
        self._session.flush()


def to_proto(row: ContentRow) -> versions_pb2.Version:
    message = versions_pb2.Version(
        document_id=str(row.told_id),
        version=row.version,
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        state=state_word(row.state),
        refusal_reason=reason_word(row.refusal or "UNSPECIFIED"),
        remarks=remark_words(row.remarks),
        current=row.version_of is None,
        restored_from=row.restored_from,
    )
    message.deposit_time.FromDatetime(row.deposit_time)
    if row.damage_time is not None:
        message.damage_time.FromDatetime(row.damage_time)
    return message


def no_such_version() -> NotFound:
    return NotFound("No such version of the document.", reason="VERSION_NOT_FOUND")


def _versions(document: DocumentRow) -> Select[ContentRow]:
    """All of them as they are at the time of the query: the document may show another one than when
    it was read.
    """
    query = select(ContentRow).where(_of(document.document_id))
    return query.execution_options(populate_existing=True)


def _of(document_id: uuid.UUID) -> ColumnElement[bool]:
    return or_(ContentRow.document_id == document_id, ContentRow.version_of == document_id)
