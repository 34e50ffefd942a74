"""The vault's tables of how long documents are kept, in a schema of one test, beside a store in
memory.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from backbone.database import Base
from backbone.errors import Unavailable
from backbone.receipts.notes import Signer
from services.documents.documents import DocumentRow, Documents, State
from services.documents.domain.retention import Disposition, Duration, RetentionClass
from services.documents.erasures import Erasures
from services.documents.fakes import MemoryStore
from services.documents.retention.classes import Classes
from services.documents.retention.destroying import Destroying
from services.documents.retention.destructions import DestructionRow
from services.documents.retention.locked import LockedObjects
from services.documents.retention.locks import Locks
from services.documents.versions import VersionRow, Versions
from tests.support.events import Scratch

SIGNER = Signer("essai.example/receipts", bytes(32))
# As the migrations have them: what a row of another version does not say of a document.
DEFAULTS = text(
    """
    ALTER TABLE documents
        ALTER retention_class SET DEFAULT '', ALTER retention_ended SET DEFAULT false,
        ALTER lock_pending SET DEFAULT false, ALTER holds SET DEFAULT 0,
        ALTER folder SET DEFAULT '', ALTER labels SET DEFAULT '{}',
        ALTER metadata SET DEFAULT '{}', ALTER index_tries SET DEFAULT 0
    """
)


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
        tables: Any = {
            mapper.local_table
            for mapper in Base.registry.mappers
            if mapper.class_.__module__.startswith("services.documents.")
        }
        Base.metadata.create_all(scratch.engine, tables=list(tables))
        with scratch.engine.begin() as connection:
            connection.execute(DEFAULTS)

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

    def version(self, document_id: uuid.UUID, *, accepted: bool = True) -> uuid.UUID:
        """Another version of a document; the key of its object."""
        content_id = uuid.uuid4()
        row = VersionRow(
            document_id=uuid.uuid4(), content_id=content_id, name="acte.pdf",
            media_type="application/pdf", size_bytes=3, sha256="cd" * 32,
            owner_key_id=uuid.uuid4(), sealed_key=b"",
        )  # fmt: skip
        self.store.put(str(content_id), [b"def"], "application/pdf")
        with self.locked(document_id) as (session, document):
            Versions(session).add(document, row)
        if accepted:
            self.accept(content_id)
        return content_id

    def accept(self, content_id: uuid.UUID) -> None:
        """A version passes its check."""
        with self.db.transaction() as session:
            query = select(VersionRow).where(VersionRow.content_id == content_id)
            row = session.scalars(query.with_for_update(key_share=True)).one()
            row.accept(())
            Versions(session).accepted(row)

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
