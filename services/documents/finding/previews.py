"""Previews: small images of first pages, sealed, beside their documents' rows.

They are in PostgreSQL, not in the object store (docs/adr/0019-previews.md): a preview goes with its
document's row in one transaction (ON DELETE CASCADE), so none is ever left behind.
"""

import uuid
from collections.abc import Iterable

from sqlalchemy import ForeignKey, LargeBinary, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import wrapping
from backbone.database import Base
from backbone.errors import Damaged, NotFound
from services.documents.contents import Contents
from services.documents.documents import DocumentRow


class PreviewRow(Base):
    __tablename__ = "previews"

    document_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(DocumentRow.document_id), primary_key=True
    )
    # By a key that is derived from the content's own, and so lost with it.
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class Previews:
    """Previews within one transaction.

    Raises, in each method:
        Gone: the owner's keys were destroyed. Unavailable: the keyring does not answer.
        Damaged: what is stored was altered.
    """

    def __init__(self, session: Session, contents: Contents) -> None:
        self._session, self._contents = session, contents

    def put(self, row: DocumentRow, image: bytes) -> None:
        """Keeps a document's preview; none when `image` is empty."""
        if not image:
            self.remove([row])
            return
        sealed = wrapping.wrap(self._contents.preview_key(row), image, _context(row))
        statement = insert(PreviewRow).values(document_id=row.document_id, sealed=sealed)
        self._session.execute(
            statement.on_conflict_do_update(index_elements=["document_id"], set_={"sealed": sealed})
        )

    def remove(self, rows: Iterable[DocumentRow]) -> None:
        """Documents have none, or none any more."""
        ids = [row.document_id for row in rows]
        if ids:
            self._session.execute(delete(PreviewRow).where(PreviewRow.document_id.in_(ids)))

    def get(self, row: DocumentRow) -> bytes:
        """A document's preview.

        Raises:
            NotFound: there is none, or not yet.
        """
        if row.index_time is not None:
            raise NotFound(
                "The preview is not made yet.",
                reason="PREVIEW_PENDING",
                metadata={"retry_after": "1"},
            )
        preview = self._session.get(PreviewRow, row.document_id)
        if preview is None:
            raise NotFound("This document has no preview.", reason="PREVIEW_NONE")
        try:
            return wrapping.unwrap(self._contents.preview_key(row), preview.sealed, _context(row))
        except wrapping.WrappingError as error:
            raise Damaged("The preview was altered.") from error


def _context(row: DocumentRow) -> bytes:
    return b"preview\0" + row.document_id.bytes
