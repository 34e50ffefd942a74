"""Looking at documents once they are available: what they say is indexed, their first page kept.

A try is counted and has a lease before it begins, so that one that takes its process down is not
tried for ever. No transaction is open while a document is read. Those that have nothing to read are
found by their names alone, many in one transaction.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import Counter, Gauge
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from backbone.backoff import pause
from backbone.database import Transactions
from backbone.errors import Damaged, DomainError, Gone, Unavailable
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, State
from services.documents.finding import reading
from services.documents.finding.index import Index
from services.documents.finding.previews import Previews
from services.documents.finding.reading import NOTHING, Found, Unreadable
from services.documents.keys import OwnerKeys

log = logging.getLogger(__name__)

MAX_TRIES = 3
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=5)
# Longer than a try can take: the store's time-outs, the reading's limits, a slow database.
LEASE = timedelta(minutes=3)
NAMED_AT_ONCE = 50

INDEXED = Counter("documents_indexed_total", "Documents looked at, by outcome.", ["outcome"])
WAITING = Gauge("document_index_oldest_seconds", "For how long a document has been due.")


@dataclass(frozen=True, slots=True)
class Claim:
    """A try of ours: it holds while the row has this number and this content."""

    row: DocumentRow
    tries: int


class Waiting:
    """Documents that are to be looked at, within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def claim(self) -> Claim | None:
        """A document that is due, for a try of ours; None when there is none."""
        row = self._session.scalar(_due().limit(1))
        if row is None:
            return None
        row.index_tries += 1
        row.index_time = func.now() + LEASE
        return Claim(row, row.index_tries)

    def without_text(self) -> Sequence[DocumentRow]:
        """Some that are due and have nothing to read, locked."""
        query = _due().where(DocumentRow.to_read.is_(False)).limit(NAMED_AT_ONCE)
        return self._session.scalars(query).all()

    def held(self, claim: Claim) -> DocumentRow | None:
        """The row of a claim, locked; None when it is another's now, or gone."""
        query = select(DocumentRow).where(
            DocumentRow.document_id == claim.row.document_id,
            DocumentRow.index_tries == claim.tries,
            DocumentRow.index_time.is_not(None),
            DocumentRow.sha256 == claim.row.sha256,
        )
        return self._session.scalar(query.with_for_update(key_share=True))

    def oldest(self) -> datetime | None:
        """Since when the document is due that waits longest."""
        query = select(func.min(DocumentRow.index_time))
        return self._session.scalar(query.where(DocumentRow.state == State.AVAILABLE))


def _due() -> Select[DocumentRow]:
    """Documents that are due and that nobody has locked, oldest first."""
    return (
        select(DocumentRow)
        .where(DocumentRow.state == State.AVAILABLE, DocumentRow.index_time <= func.now())
        .order_by(DocumentRow.index_time)
        .with_for_update(skip_locked=True, key_share=True)
    )


class Indexing:
    """What a process does about documents that are to be looked at."""

    def __init__(self, db: Transactions, contents: Contents, keys: OwnerKeys) -> None:
        self._db, self._contents, self._keys = db, contents, keys

    def step(self) -> bool:
        """One try of one document, and some that have nothing to read; false when there is nothing
        to do at once.
        """
        # A few of them wait for more.
        many = self._name() == NAMED_AT_ONCE
        return self._look() or many

    def _name(self) -> int:
        """Finds documents by their names; how many, 0 also where one of them cannot be."""
        try:
            with self._db.transaction() as session:
                rows = Waiting(session).without_text()
                Index(session, self._keys).put_named(rows)
                Previews(session, self._contents).remove(rows)
                for row in rows:
                    row.index_time = None
        except Exception as error:
            known = isinstance(error, DomainError)
            log.warning("documents without text are indexed one by one", exc_info=not known)
            return 0
        INDEXED.labels("named").inc(len(rows))
        return len(rows)

    def _look(self) -> bool:
        """One try of one document; false when none was due."""
        with self._db.transaction() as session:
            claim = Waiting(session).claim()
            oldest = Waiting(session).oldest() if claim is None else None
        if claim is None:
            WAITING.set(max(0.0, time.time() - oldest.timestamp()) if oldest else 0.0)
            return False
        try:
            INDEXED.labels(self._try(claim)).inc()
        except Unavailable:
            INDEXED.labels("later").inc()
            self._again(claim, counted=False)
        except (Gone, Damaged) as error:
            # Nobody can read it any more, or nobody should: there is nothing to look at.
            log.warning("document %s is not indexed: %s", claim.row.document_id, error.reason)
            INDEXED.labels("gone").inc()
            self._settle(claim, None)
        return True

    def _try(self, claim: Claim) -> str:
        """What came of it."""
        row = claim.row
        if claim.tries > MAX_TRIES:
            # Each of them ended with its process.
            self._settle(claim, NOTHING)
            return "given_up"
        try:
            found, outcome = self._read(row), "read"
        except Unreadable as error:
            log.warning("document %s cannot be read: %s", row.document_id, error)
            if error.worth_another and claim.tries < MAX_TRIES:
                self._again(claim, counted=True)
                return "later"
            found, outcome = NOTHING, "unreadable"
        self._settle(claim, found)
        return outcome

    def _read(self, row: DocumentRow) -> Found:
        if not row.to_read or row.size_bytes > reading.MAX_BYTES:
            return NOTHING
        return reading.read(row.media_type, self._contents.get(row, 0, row.size_bytes))

    def _settle(self, claim: Claim, found: Found | None) -> None:
        """Keeps what was found, under its name of now; nothing at all for None."""
        with self._db.transaction() as session:
            row = Waiting(session).held(claim)
            if row is None:
                return
            if found is not None:
                Index(session, self._keys).put(row, found.text)
                Previews(session, self._contents).put(row, found.image)
            row.index_time = None

    def _again(self, claim: Claim, *, counted: bool) -> None:
        with self._db.transaction() as session:
            row = Waiting(session).held(claim)
            if row is not None:
                row.index_tries = claim.tries - (0 if counted else 1)
                row.index_time = func.now() + pause(claim.tries, FIRST_PAUSE, LONGEST_PAUSE)
