"""Search keys: one per owner, wrapped by the owner's key as the keys of contents are."""

import os
import uuid

from sqlalchemy import LargeBinary, delete
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import wrapping
from backbone.database import Base
from backbone.errors import Damaged
from services.documents.domain.words import KEY_BYTES, Blinder
from services.documents.keys import OwnerKeys


class SearchKeyRow(Base):
    __tablename__ = "search_keys"

    owner_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    owner_key_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    sealed_key: Mapped[bytes] = mapped_column(LargeBinary)


class SearchKeys:
    """Search keys within one transaction."""

    def __init__(self, session: Session, keys: OwnerKeys) -> None:
        self._session, self._keys = session, keys
        self._blinders: dict[uuid.UUID, Blinder] = {}

    def blinder(self, owner_id: uuid.UUID) -> Blinder:
        """What blinds an owner's lexemes; their key is made when it is asked for first.

        Raises:
            Gone: the owner's keys were destroyed. Unavailable: the keyring does not answer.
            Damaged: the row was altered.
        """
        found = self._blinders.get(owner_id) or self.known(owner_id)
        if found is None:
            self._make(owner_id)
            found = Blinder(self._unwrapped(self._session.get_one(SearchKeyRow, owner_id)))
        self._blinders[owner_id] = found
        return found

    def known(self, owner_id: uuid.UUID) -> Blinder | None:
        """What blinds an owner's lexemes; None for one who has no key, and so no lexemes.

        Raises:
            Gone, Unavailable, Damaged: as above.
        """
        row = self._session.get(SearchKeyRow, owner_id)
        return None if row is None else Blinder(self._unwrapped(row))

    def rewrap(self, row: SearchKeyRow) -> None:
        """Wraps an owner's search key by their newest.

        Raises:
            Gone, Unavailable, Damaged: as above.
        """
        row.owner_key_id, row.sealed_key = self._wrapped(row.owner_id, self._unwrapped(row))

    def _make(self, owner_id: uuid.UUID) -> None:
        key_id, sealed = self._wrapped(owner_id, os.urandom(KEY_BYTES))
        statement = insert(SearchKeyRow).values(
            owner_id=owner_id, owner_key_id=key_id, sealed_key=sealed
        )
        # Another transaction may have made one: that one stays.
        self._session.execute(statement.on_conflict_do_nothing())

    def _wrapped(self, owner_id: uuid.UUID, secret: bytes) -> tuple[uuid.UUID, bytes]:
        newest = self._keys.newest(owner_id)
        context = _context(owner_id, newest.key_id)
        return newest.key_id, wrapping.wrap(newest.key, secret, context)

    def _unwrapped(self, row: SearchKeyRow) -> bytes:
        owner_key = self._keys.named(row.owner_id, row.owner_key_id)
        context = _context(row.owner_id, owner_key.key_id)
        try:
            return wrapping.unwrap(owner_key.key, row.sealed_key, context)
        except wrapping.WrappingError as error:
            raise Damaged("The key of this search index was altered.") from error


def forget(session: Session, owner_id: uuid.UUID) -> None:
    """The owner is forgotten."""
    session.execute(delete(SearchKeyRow).where(SearchKeyRow.owner_id == owner_id))


def _context(owner_id: uuid.UUID, key_id: uuid.UUID) -> bytes:
    return b"search key\0" + owner_id.bytes + key_id.bytes
