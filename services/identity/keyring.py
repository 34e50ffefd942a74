"""The keyring, as identity stores it: owners' keys, wrapped, within one transaction."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from sqlalchemy import DateTime, ForeignKey, Integer, LargeBinary, String, delete, func, select
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import wrapping
from backbone.database import Base, DatabasePool
from backbone.errors import Damaged, Gone, Unavailable
from backbone.settings import load
from services.identity.masters import KeyringSettings, MasterMissing, Masters

log = logging.getLogger(__name__)


class KeyringRow(Base):
    """An owner. Stays when its keys are destroyed, so that none is made again."""

    __tablename__ = "keyrings"

    owner_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    destroy_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class OwnerKeyRow(Base):
    __tablename__ = "owner_keys"

    key_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(KeyringRow.owner_id))
    # 1 for an owner's first key; the greatest is the newest.
    version: Mapped[int] = mapped_column(Integer)
    # Which master key wrapped it (`Masters.names`).
    master: Mapped[str] = mapped_column(String(16))
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """One of an owner's keys, unwrapped."""

    key_id: uuid.UUID
    key: bytes = field(repr=False)


class Keyring:
    """The owners' keys within one transaction."""

    def __init__(self, session: Session, masters: Masters) -> None:
        self._session, self._masters = session, masters

    def keys(self, owner_id: str) -> list[OwnerKey]:
        """An owner's keys, the newest first. The first time the first one is made.

        Raises:
            Gone: they were destroyed. Unavailable: a master key is not configured.
            Damaged: a row was altered.
        """
        owner = uuid.UUID(owner_id)
        rows = self._rows(owner)
        if not rows:
            self._lock(owner)
            # Another caller may have made it while this one waited.
            rows = self._rows(owner) or [self._add(owner, 1)]
        return [OwnerKey(row.key_id, self._unwrapped(row)) for row in rows]

    def renew(self, owner_id: str) -> uuid.UUID:
        """A new key, which is the newest from now on; its identifier. Earlier ones stay.

        Raises:
            Gone: the owner's keys were destroyed.
        """
        owner = uuid.UUID(owner_id)
        self._lock(owner)
        rows = self._rows(owner)
        return self._add(owner, rows[0].version + 1 if rows else 1).key_id

    def destroy(self, owner_id: str) -> list[uuid.UUID] | None:
        """Destroys an owner's keys, for good; which, or None when that was done before."""
        owner = uuid.UUID(owner_id)
        ring = self._locked(owner)
        if ring.destroy_time is not None:
            return None
        ring.destroy_time = datetime.now(UTC)
        gone = delete(OwnerKeyRow).where(OwnerKeyRow.owner_id == owner)
        return list(self._session.scalars(gone.returning(OwnerKeyRow.key_id)))

    def rewrap(self, master: str, limit: int) -> int:
        """Wraps by the newest master key what an earlier one wrapped, at most `limit` keys; how
        many. Several may do so at once: each key is wrapped again by one of them.

        Raises:
            MasterMissing: an earlier one is not configured.
        """
        query = (
            select(OwnerKeyRow)
            .where(OwnerKeyRow.master == master)
            .order_by(OwnerKeyRow.key_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        rows = self._session.scalars(query).all()
        for row in rows:
            key = self._masters.unwrap(row.owner_id, row.key_id, row.master, row.wrapped)
            row.wrapped = self._masters.wrap(row.owner_id, row.key_id, key)
            row.master = self._masters.newest
        return len(rows)

    def _rows(self, owner: uuid.UUID) -> Sequence[OwnerKeyRow]:
        query = select(OwnerKeyRow).where(OwnerKeyRow.owner_id == owner)
        return self._session.scalars(query.order_by(OwnerKeyRow.version.desc())).all()

    def _lock(self, owner: uuid.UUID) -> None:
        """Holds the owner until the end of the transaction.

        Raises:
            Gone: its keys were destroyed.
        """
        if self._locked(owner).destroy_time is not None:
            raise Gone("The keys of this owner were destroyed.", reason="KEY_DESTROYED")

    def _locked(self, owner: uuid.UUID) -> KeyringRow:
        self._session.execute(insert(KeyringRow).values(owner_id=owner).on_conflict_do_nothing())
        query = select(KeyringRow).where(KeyringRow.owner_id == owner).with_for_update()
        return self._session.scalars(query).one()

    def _add(self, owner: uuid.UUID, version: int) -> OwnerKeyRow:
        key_id = uuid.uuid4()
        row = OwnerKeyRow(
            key_id=key_id,
            owner_id=owner,
            version=version,
            master=self._masters.newest,
            wrapped=self._masters.wrap(owner, key_id, wrapping.new_key()),
        )
        self._session.add(row)
        self._session.flush()
        return row

    def _unwrapped(self, row: OwnerKeyRow) -> bytes:
        try:
            return self._masters.unwrap(row.owner_id, row.key_id, row.master, row.wrapped)
        except MasterMissing as error:
            log.warning("key %s: %s", row.key_id, error)
            raise Unavailable(
                "The master key of this owner is not there.", reason="MASTER_KEY_MISSING"
            ) from error
        except wrapping.WrappingError as error:
            log.exception("key %s cannot be unwrapped", row.key_id)
            raise Damaged("A key of this owner was altered.", reason="KEY_DAMAGED") from error


def masters_in_use(session: Session) -> dict[str, int]:
    """How many owners' keys each master key wraps."""
    query = select(OwnerKeyRow.master, func.count()).group_by(OwnerKeyRow.master)
    return dict(session.execute(query).tuples().all())


class MasterKeys(DependencyProvider):  # type: ignore[misc]
    """Injects the `Masters`. Without a usable key the service does not start."""

    pool = DatabasePool()

    def __init__(self) -> None:
        self._complete = False

    def setup(self) -> None:
        self._masters = load(KeyringSettings).masters()

    def get_dependency(self, worker_ctx: WorkerContext) -> Masters:
        return self._masters

    def check_ready(self) -> str | None:
        """Whether every owner's key can be unwrapped: asked until it is so, then no more."""
        if self._complete:
            return None
        assert self.pool.transactions is not None
        try:
            with self.pool.transactions.transaction() as session:
                missing = masters_in_use(session).keys() - set(self._masters.names)
        except SQLAlchemyError as error:
            return f"it is not known which master keys are needed ({type(error).__name__})"
        if missing:
            return f"keys are wrapped by master keys that are not configured: {sorted(missing)}"
        self._complete = True
        return None
