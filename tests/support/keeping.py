"""The vault's tables of how long documents are kept, in a schema of one test, beside a store in
memory.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backbone.database import Base
from backbone.errors import Unavailable
from backbone.receipts.notes import Signer
from services.documents.documents import DocumentRow, Documents, State
from services.documents.domain.retention import Disposition, Duration, RetentionClass
from services.documents.erasures import ErasureRow, Erasures
from services.documents.exports import ExportRow
from services.documents.fakes import MemoryStore
from services.documents.retention.classes import Classes
from services.documents.retention.destroying import Destroying
from services.documents.retention.destructions import DestructionRow
from services.documents.retention.holds import HoldRow
from services.documents.retention.locked import LockedObjectRow, LockedObjects
from services.documents.retention.locks import Locks
from services.documents.sharing.shares import ShareRow
from tests.support.events import Scratch

SIGNER = Signer("essai.example/receipts", bytes(32))
ROWS = (
    DocumentRow, ShareRow, HoldRow, DestructionRow, LockedObjectRow, ErasureRow, ExportRow,
)  # fmt: skip


def retention_class(name: str, disposition: Disposition, duration: str = "P1Y") -> RetentionClass:
    return RetentionClass(name, "Essai", Duration.parse(duration), "Code, article 1", disposition)


CLASSES = Classes(
    {
        each.name: each
        for each in (
            retention_class("court", Disposition.DESTROY),
            retention_class("long", Disposition.DESTROY, "P10Y"),
            retention_class("revue", Disposition.REVIEW),
        )
    }
)


class FallibleStore(MemoryStore):
    """A store that does not answer while it is `away`."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("The object store does not answer.")

    def delete(self, key: str) -> None:
        self._answer()
        super().delete(key)

    def retain(self, key: str, until: datetime) -> None:
        self._answer()
        super().retain(key, until)

    def hold(self, key: str, *, on: bool) -> None:
        self._answer()
        super().hold(key, on=on)


class Vault:
    """Documents with their objects, and the steps that a service takes in the background."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch, self.db, self.store = scratch, scratch.transactions, FallibleStore()
        self.owner_id = uuid.uuid4()
        tables: Any = [row.__table__ for row in ROWS]
        Base.metadata.create_all(scratch.engine, tables=tables)

    def deposit(self, **values: Any) -> uuid.UUID:
        """A document of the owner's that is available, made a little less than a year ago."""
        document_id = uuid.uuid4()
        made = datetime.now(UTC) - timedelta(days=364)
        row = DocumentRow(
            document_id=document_id, owner_id=self.owner_id, name="acte.pdf",
            media_type="application/pdf", size_bytes=3, sha256="ab" * 32,
            owner_key_id=uuid.uuid4(), sealed_key=b"",
            **{"state": State.AVAILABLE, "create_time": made, **values},
        )  # fmt: skip
        self.store.put(str(document_id), [b"abc"], "application/pdf")
        with self.db.transaction() as session:
            Documents(session).add(row)
        return document_id

    def set(self, document_id: uuid.UUID, **values: Any) -> None:
        """Alters a document's row as time, or a crash, would."""
        with self.db.transaction() as session:
            query = update(DocumentRow).where(DocumentRow.document_id == document_id)
            session.execute(query.values(**values))

    def row(self, document_id: uuid.UUID) -> DocumentRow | None:
        with self.db.transaction() as session:
            return session.get(DocumentRow, document_id)

    def certificates(self) -> list[DestructionRow]:
        with self.db.transaction() as session:
            return list(session.scalars(select(DestructionRow)))

    @contextmanager
    def locked(self, document_id: uuid.UUID) -> Iterator[tuple[Session, DocumentRow]]:
        """A transaction with a document's row."""
        with self.db.transaction() as session:
            yield session, session.get_one(DocumentRow, document_id, with_for_update=True)

    def settle(self) -> bool:
        with self.db.transaction() as session:
            return Locks(session, self.store).settle()

    def destroy(self) -> bool:
        with self.db.transaction() as session:
            destroying = Destroying(session, self.store)
            return destroying.step(self.scratch.publisher, CLASSES, SIGNER)

    def erase(self) -> bool:
        with self.db.transaction() as session:
            return Erasures(session).step(self.store, self.scratch.publisher)

    def delete_unlocked(self) -> bool:
        with self.db.transaction() as session:
            return LockedObjects(session).step(self.store)
