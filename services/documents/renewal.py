"""What documents hears of owners' keys: all processes forget them, one wraps what they wrapped."""

import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import Boolean, ColumnElement, DateTime, exists, func, or_, select
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.database import Base
from backbone.errors import Damaged, Gone
from services.documents.content_row import ContentRow
from services.documents.contents import Contents
from services.documents.finding.search_keys import SearchKeyRow, SearchKeys
from services.documents.keys import KEEP_SECONDS, OwnerKeys

log = logging.getLogger(__name__)

BATCH = 200
# Longer than a key is kept by any process, and than a transaction may lag behind its time.
RECENT = timedelta(seconds=2 * KEEP_SECONDS)


class KeyChangeRow(Base):
    """The latest that was heard of an owner's keys."""

    __tablename__ = "key_changes"

    owner_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    # The newest key; None once all are destroyed.
    key_id: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    change_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # Nothing is wrapped by an earlier key any more, nor will be.
    done: Mapped[bool] = mapped_column(Boolean)


class KeyChanges:
    """What was heard of keys, within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def renewed(self, owner_id: str, key_id: str) -> None:
        """An owner has a newer key."""
        self._note(owner_id, key_id=uuid.UUID(key_id), done=False)

    def destroyed(self, owner_id: str) -> None:
        """An owner's keys are no more."""
        self._note(owner_id, key_id=None, done=True)

    def outdated(self, keys: OwnerKeys) -> Iterator[uuid.UUID]:
        """The owners whose keys this process may not keep any longer."""
        query = select(KeyChangeRow).where(KeyChangeRow.change_time > func.now() - RECENT)
        for row in self._session.scalars(query):
            if row.key_id is None or not keys.holds(row.owner_id, row.key_id):
                yield row.owner_id

    def rewrap(self, contents: Contents, keys: OwnerKeys) -> bool:
        """Wraps some documents of one owner, and their search key, by their newest; true when more
        may wait.

        Raises:
            Unavailable: the keyring does not answer.
        """
        earlier = (
            ContentRow.owner_id == KeyChangeRow.owner_id,
            ContentRow.owner_key_id != KeyChangeRow.key_id,
        )
        searched = (
            SearchKeyRow.owner_id == KeyChangeRow.owner_id,
            SearchKeyRow.owner_key_id != KeyChangeRow.key_id,
        )
        old: ColumnElement[bool] = KeyChangeRow.change_time < func.now() - RECENT
        change = self._session.scalar(
            select(KeyChangeRow)
            .where(
                KeyChangeRow.done.is_(False),
                or_(exists().where(*earlier), exists().where(*searched), old),
            )
            .order_by(KeyChangeRow.change_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if change is None:
            return False
        query = select(ContentRow).where(
            ContentRow.owner_id == change.owner_id, ContentRow.owner_key_id != change.key_id
        )
        found = self._session.scalars(query.limit(BATCH).with_only_columns(ContentRow.document_id))
        count = len(found.all())
        # Not those that are checked now: a check holds one version's row, and then the document's.
        rows = self._session.scalars(query.limit(BATCH).with_for_update(skip_locked=True)).all()
        steps: list[Callable[[], None]] = [partial(contents.rewrap, row) for row in rows]
        searched_by = select(SearchKeyRow).where(
            SearchKeyRow.owner_id == change.owner_id, SearchKeyRow.owner_key_id != change.key_id
        )
        search_keys = SearchKeys(self._session, keys)
        steps += [
            partial(search_keys.rewrap, row)
            for row in self._session.scalars(searched_by.with_for_update())
        ]
        wrapped = sum(_done(step, change.owner_id) for step in steps)
        # A process may wrap by an earlier key for as long as it keeps it.
        change.done = not wrapped and len(rows) >= count
        return change.done or wrapped > 0

    def _note(self, owner_id: str, *, key_id: uuid.UUID | None, done: bool) -> None:
        values = {"key_id": key_id, "done": done, "change_time": func.now()}
        statement = insert(KeyChangeRow).values(owner_id=uuid.UUID(owner_id), **values)
        self._session.execute(
            statement.on_conflict_do_update(index_elements=["owner_id"], set_=values)
        )


def _done(rewrap: Callable[[], None], owner_id: uuid.UUID) -> bool:
    try:
        rewrap()
    except (Damaged, Gone):
        # It is unreadable as it was, and no reason to keep the others from their key.
        log.exception("something of owner %s keeps its key", owner_id)
        return False
    return True
