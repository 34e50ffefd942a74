"""Objects whose documents are gone, and which a lock of the store keeps until its end.

Nobody can read them: the key of each went with its row. They are deleted when the lock is over.
"""

import uuid
from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge
from sqlalchemy import DateTime, func, select
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.database import Base
from services.documents.store import Locked, ObjectStore

# Between two tries at an object whose lock has no end: a legal hold that is not of ours.
PAUSE = timedelta(hours=6)
LOCKED = Gauge("objects_locked", "Objects without a document, kept by the store's lock.")


class LockedObjectRow(Base):
    __tablename__ = "locked_objects"

    # Of the object: the identifier of the content that it was.
    object_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    delete_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class LockedObjects:
    """Within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, key: str, lock: Locked) -> datetime:
        """Notes an object that cannot be deleted; when it is tried again."""
        then = lock.until or datetime.now(UTC) + PAUSE
        statement = insert(LockedObjectRow).values(object_id=uuid.UUID(key), delete_time=then)
        self._session.execute(
            statement.on_conflict_do_update(
                index_elements=["object_id"], set_={"delete_time": then}
            )
        )
        return then

    def between(self, after: str, last: str) -> set[str]:
        """The keys greater than `after`, up to `last`; "" is no bound."""
        query = select(LockedObjectRow.object_id)
        if after:
            query = query.where(LockedObjectRow.object_id > uuid.UUID(after))
        if last:
            query = query.where(LockedObjectRow.object_id <= uuid.UUID(last))
        return {str(key) for key in self._session.scalars(query)}

    def step(self, store: ObjectStore) -> bool:
        """Deletes one object whose lock is over; False when there is none.

        Raises:
            Unavailable: the object store does not answer; it is tried again.
        """
        LOCKED.set(self._session.scalar(select(func.count()).select_from(LockedObjectRow)) or 0)
        row = self._session.scalar(
            select(LockedObjectRow)
            .where(LockedObjectRow.delete_time <= func.now())
            .order_by(LockedObjectRow.delete_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if row is None:
            return False
        try:
            store.delete(str(row.object_id))
        except Locked as error:
            row.delete_time = error.until or datetime.now(UTC) + PAUSE
        else:
            self._session.delete(row)
        return True
