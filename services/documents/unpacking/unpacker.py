"""Makes each file of an archive a document, a turn at a time.

A turn is one transaction: whatever dies in between, a file is a document once. What the store has
of one that was not added is taken away by the reconciliation.
"""

import logging
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import IO, cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from backbone.database import Transactions, after_commit, savepoint
from backbone.errors import (
    Conflict,
    Damaged,
    DomainError,
    Gone,
    InvalidInput,
    OverQuota,
    Unavailable,
)
from backbone.events import Publisher
from services.documents.checking import Checks
from services.documents.checks.archives import CHUNK_BYTES, DAMAGED
from services.documents.checks.content import Content
from services.documents.content_row import ContentRow
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, Documents
from services.documents.domain.deposit import Intake
from services.documents.domain.unpacking import Problem, Unfit, announced, files, path
from services.documents.unpacking.unpackings import State, UnpackingRow, Unpackings

log = logging.getLogger(__name__)

# So long an owner's other deposits may wait for the room that this one takes.
TURN_SECONDS = 0.5


class Unpacker:
    """A turn. `depositing` gives the transaction that adds a content, if there is room for it."""

    def __init__(
        self,
        db: Transactions,
        events: Publisher,
        contents: Contents,
        checks: Checks,
        depositing: Callable[[ContentRow], AbstractContextManager[Session]],
        max_bytes: int,
    ) -> None:
        self._db, self._events, self._contents = db, events, contents
        self._checks, self._depositing, self._max_bytes = checks, depositing, max_bytes

    def step(self) -> bool:
        """Goes on with one archive; false when there was none.

        Its row is locked from beginning to end: one that dies leaves it to another at once.
        """
        with self._db.transaction() as session:
            unpackings = Unpackings(session)
            row = unpackings.next()
            if row is None:
                return False
            try:
                ended = self._turn(unpackings, row, _archive(session, row))
            except Unavailable:
                row.later()
            except DomainError as error:
                log.warning("archive %s cannot be unpacked: %s", row.document_id, error.reason)
                self._events.publish(unpackings.end(row, State.FAILED))
            except Exception:
                # Those after it go on.
                log.exception("archive %s cannot be unpacked now", row.document_id)
                row.later()
            else:
                row.went_on()
                if ended:
                    self._events.publish(unpackings.end(row, State.ENDED))
        return True

    def _turn(self, unpackings: Unpackings, row: UnpackingRow, archive: ContentRow) -> bool:
        """Deals with the files that are left, for a while; true when there are no more.

        Raises:
            Unavailable: the store or the keyring does not answer. Another DomainError: nothing
            more can be read of the archive.
        """
        end, done = time.monotonic() + TURN_SECONDS, unpackings.done(row)
        content = Content(partial(self._contents.get, archive), archive.size_bytes)
        with _opened(content) as opened:
            found = list(files(opened.infolist()))
            row.entries = len(found)
            for number, entry in found:
                if number in done:
                    continue
                if time.monotonic() > end:
                    return False
                try:
                    document_id = self._deposit(row, entry, opened)
                except Unfit as unfit:
                    unpackings.unfit(row, number, path(entry), unfit.problem)
                else:
                    unpackings.made(row, number, path(entry), document_id)
        return True

    def _deposit(
        self, row: UnpackingRow, entry: zipfile.ZipInfo, opened: zipfile.ZipFile
    ) -> uuid.UUID:
        """The document that a file becomes.

        Raises:
            Unfit: it becomes none. DomainError: as above.
        """
        told, folder = announced(entry, row.folder, self._max_bytes)
        document = DocumentRow(
            document_id=uuid.uuid4(),
            owner_id=row.owner_id,
            name=told.name,
            media_type=told.media_type,
            folder=folder,
            payer=row.payer,
            unpacked_from=row.document_id,
            traceparent=row.traceparent,
        )
        intake = Intake(told, _chunks(opened, entry), self._max_bytes)
        try:
            self._contents.take(document, intake, told.size_bytes)
        except (InvalidInput, Conflict):
            raise Unfit(Problem.DAMAGED) from None
        try:
            with savepoint(), self._depositing(document) as session:
                Documents(session).add(document)
                self._events.publish(document.received())
                after_commit(self._checks.ring)
        except OverQuota:
            raise Unfit(Problem.QUOTA_EXCEEDED) from None
        return document.document_id


def _archive(session: Session, row: UnpackingRow) -> ContentRow:
    """Whichever version has it: those that were restored from one another share it."""
    query = select(ContentRow).where(
        ContentRow.content_id == row.content_id, ContentRow.owner_id == row.owner_id
    )
    archive = session.scalars(query.limit(1)).first()
    if archive is None:
        raise Gone("The archive is not in the vault any more.")
    return archive


def _opened(content: Content) -> zipfile.ZipFile:
    # Its check went through it to its end: it can be opened, and is not too large for that.
    try:
        return zipfile.ZipFile(cast("IO[bytes]", content))
    except DAMAGED as error:
        raise Damaged("The archive cannot be opened.") from error


def _chunks(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """Raises:
    Unfit: they are not what the archive's directory says. What reading the archive raises
    passes through.
    """
    try:
        with opened.open(entry) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except DAMAGED:
        raise Unfit(Problem.DAMAGED) from None
