"""What a document's row says of how long it is kept."""

from datetime import UTC, datetime

from administration.documents.v1 import documents_pb2
from sqlalchemy import Boolean, DateTime, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from backbone.errors import Conflict


class Kept:
    """The columns of it."""

    retention_class: Mapped[str] = mapped_column(String(63), default="")
    retain_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # What follows was told: nothing more is done by itself.
    retention_ended: Mapped[bool] = mapped_column(Boolean, default=False)
    # Legal holds that count (`holds.py`), here so that whoever locks the row sees them.
    holds: Mapped[int] = mapped_column(Integer, default=0)
    # The object store is yet to be told of the two above (`locks.py`).
    lock_pending: Mapped[bool] = mapped_column(Boolean, default=False)
    # It is in the trash until then; None while it is not.
    purge_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    def tell_kept(self, message: documents_pb2.Document) -> None:
        """Writes it into what people are told of the document."""
        message.retention_class = self.retention_class
        message.held, message.lock_pending = self.holds > 0, self.lock_pending
        if self.retain_until is not None:
            message.retain_until.FromDatetime(self.retain_until)
        if self.purge_time is not None:
            message.purge_time.FromDatetime(self.purge_time)

    def retained(self) -> bool:
        """Whether its retention has not ended."""
        return self.retain_until is not None and self.retain_until > datetime.now(UTC)

    def lock_again(self) -> None:
        """It has another content, and what was decided of it holds for that one's object too."""
        self.lock_pending = self.lock_pending or self.retained() or self.holds > 0

    def require_not_trashed(self) -> None:
        """Raises:
        Conflict: it is in the trash.
        """
        if self.purge_time is not None:
            raise Conflict(
                "The document is in the trash: restore it first.", reason="DOCUMENT_TRASHED"
            )
