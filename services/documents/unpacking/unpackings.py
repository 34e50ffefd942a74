"""Unpackings of archives, and what became of their files, within one transaction."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from administration.documents.v1 import events_pb2, unpacking_pb2
from sqlalchemy import DateTime, ForeignKey, Integer, String, delete, func, select
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.backoff import pause
from backbone.database import Base
from backbone.errors import NotFound
from services.documents.documents import DocumentRow
from services.documents.domain.unpacking import Problem

# Between two tries while the store or the keyring does not answer: doubled, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=1)


class State(StrEnum):
    """The words of `UnpackingState`."""

    RUNNING = "RUNNING"
    ENDED = "ENDED"
    FAILED = "FAILED"


class UnpackingRow(Base):
    __tablename__ = "unpackings"

    # The archive, and the content of it that is unpacked: it may show a later version meanwhile.
    document_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("documents.document_id", ondelete="CASCADE"), primary_key=True
    )
    content_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    owner_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    # Whose usage the documents are.
    payer: Mapped[str] = mapped_column(String)
    folder: Mapped[str] = mapped_column(String)
    state: Mapped[str] = mapped_column(String, default=State.RUNNING)
    entries: Mapped[int] = mapped_column(Integer, default=0)
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    end_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    next_time: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    tries: Mapped[int] = mapped_column(Integer, default=0)
    traceparent: Mapped[str] = mapped_column(String, default="")

    def later(self) -> None:
        """Something did not answer: it goes on later, more and more patiently."""
        self.tries += 1
        self.next_time = func.now() + pause(self.tries, FIRST_PAUSE, LONGEST_PAUSE)

    def went_on(self) -> None:
        """All answered: the next turn is that of whichever waited longest."""
        self.tries, self.next_time = 0, func.now()


class EntryRow(Base):
    """A file that was dealt with: it is a document, or has its problem."""

    __tablename__ = "unpacked_entries"

    archive_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("unpackings.document_id", ondelete="CASCADE"), primary_key=True
    )
    entry: Mapped[int] = mapped_column(Integer, primary_key=True)
    path: Mapped[str] = mapped_column(String)
    # Not a reference: what became of the document later is another matter.
    document_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    problem: Mapped[str | None] = mapped_column(String)

    def to_proto(self) -> unpacking_pb2.UnpackedEntry:
        return unpacking_pb2.UnpackedEntry(
            entry=self.entry,
            path=self.path,
            document_id=str(self.document_id or ""),
            problem=unpacking_pb2.EntryProblem.Value(
                f"ENTRY_PROBLEM_{self.problem or 'UNSPECIFIED'}"
            ),
        )


class Unpackings:
    def __init__(self, session: Session) -> None:
        self._session = session

    def ask(self, document: DocumentRow, folder: str, payer: str, traceparent: str) -> UnpackingRow:
        """The unpacking of what a document, locked by this transaction, shows: a new one; or that
        which goes on, or what had a problem of it anew.
        """
        # Nobody else changes one that has ended: whoever asks has locked the document.
        row = self._session.get(UnpackingRow, document.document_id)
        if row is not None and row.content_id != document.content_id:
            # Of an earlier version.
            self._session.delete(row)
            self._session.flush()
            row = None
        if row is None:
            row = UnpackingRow(
                document_id=document.document_id,
                content_id=document.content_id,
                owner_id=document.owner_id,
            )
            self._session.add(row)
        elif row.state == State.RUNNING:
            return row
        row.folder, row.payer, row.traceparent = folder, payer, traceparent
        row.state, row.end_time = State.RUNNING, None
        row.went_on()
        self._session.flush()
        unsolved = delete(EntryRow).where(EntryRow.archive_id == row.document_id)
        self._session.execute(unsolved.where(EntryRow.problem.is_not(None)))
        return row

    def of(self, document: DocumentRow) -> UnpackingRow:
        """Raises:
        NotFound: it was never asked for.
        """
        row = self._session.get(UnpackingRow, document.document_id)
        if row is None:
            raise NotFound("This document was never unpacked.", reason="UNPACKING_NOT_FOUND")
        return row

    def next(self) -> UnpackingRow | None:
        """One that goes on, for this transaction alone."""
        query = select(UnpackingRow).where(
            UnpackingRow.state == State.RUNNING, UnpackingRow.next_time <= func.now()
        )
        query = query.order_by(UnpackingRow.next_time).limit(1)
        return self._session.scalar(query.with_for_update(skip_locked=True))

    def done(self, row: UnpackingRow) -> Collection[int]:
        """The places of the files that were dealt with."""
        query = select(EntryRow.entry).where(EntryRow.archive_id == row.document_id)
        return set(self._session.scalars(query))

    def page(
        self, row: UnpackingRow, page_size: int, page_token: str
    ) -> tuple[Sequence[EntryRow], str]:
        """Raises:
        InvalidInput: the page token is none of ours.
        """
        query = select(EntryRow).where(EntryRow.archive_id == row.document_id)
        return paging.newest_first(self._session, query, (EntryRow.entry,), page_size, page_token)

    def owned_page(self, account_id: str, page_token: str) -> tuple[Sequence[EntryRow], str]:
        """What became of all files of all archives of somebody."""
        query = (
            select(EntryRow)
            .join(UnpackingRow)
            .where(UnpackingRow.owner_id == uuid.UUID(account_id))
        )
        columns = (EntryRow.archive_id, EntryRow.entry)
        return paging.newest_first(self._session, query, columns, 0, page_token)

    def forget(self, owner_id: uuid.UUID) -> None:
        """Nothing is unpacked for somebody any more, nor is it known what was."""
        self._session.execute(delete(UnpackingRow).where(UnpackingRow.owner_id == owner_id))

    def made(self, row: UnpackingRow, entry: int, path: str, document_id: uuid.UUID) -> None:
        """A file became a document."""
        self._session.add(
            EntryRow(archive_id=row.document_id, entry=entry, path=path, document_id=document_id)
        )

    def unfit(self, row: UnpackingRow, entry: int, path: str, problem: Problem) -> None:
        """A file did not."""
        self._session.add(
            EntryRow(archive_id=row.document_id, entry=entry, path=path, problem=problem)
        )

    def end(self, row: UnpackingRow, state: State) -> events_pb2.DocumentUnpacked:
        """There is no more to do; the event that tells."""
        row.state, row.end_time = state, func.now()
        documents, problems = self._counts(row)
        return events_pb2.DocumentUnpacked(
            document_id=str(row.document_id),
            owner_id=str(row.owner_id),
            documents=documents,
            problems=problems,
            failed=state is State.FAILED,
        )

    def to_proto(self, row: UnpackingRow) -> unpacking_pb2.Unpacking:
        documents, problems = self._counts(row)
        message = unpacking_pb2.Unpacking(
            document_id=str(row.document_id),
            folder=row.folder,
            state=unpacking_pb2.UnpackingState.Value(f"UNPACKING_STATE_{row.state}"),
            entries=row.entries,
            documents=documents,
            problems=problems,
        )
        message.create_time.FromDatetime(row.create_time)
        if row.end_time is not None:
            message.end_time.FromDatetime(row.end_time)
        return message

    def _counts(self, row: UnpackingRow) -> tuple[int, int]:
        """Documents and problems so far."""
        query = select(func.count(EntryRow.document_id), func.count(EntryRow.problem))
        counted = query.where(EntryRow.archive_id == row.document_id)
        documents, problems = self._session.execute(counted).one()
        return documents, problems
