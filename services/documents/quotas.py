"""Who has how much in the vault, and how much they may, within one transaction.

A payer is a person, or an administration for what its agents deposit. Triggers of the tables count
(migration 0012): whatever adds, refuses or removes a content, its usage is of the same transaction,
and whoever adds holds the payer's row until the commit. So two at once cannot both pass a limit.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from administration.documents.v1 import usage_pb2
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import BigInteger, String, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.acting import Acting
from backbone.database import Base, Transactions
from backbone.errors import DomainError, OverQuota
from backbone.settings import PREFIX
from services.documents.content_row import ContentRow
from services.documents.store import ObjectStore

PERSON, ADMINISTRATION = "person:", "administration:"


class QuotaSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}QUOTA_")

    person_bytes: int = Field(default=10 * 1024**3, ge=0, description="that a person may have")
    person_items: int = Field(default=10_000, ge=0, description="versions and open uploads")
    administration_bytes: int = Field(
        default=1024**4, ge=0, description="that the agents of an administration may have"
    )
    administration_items: int = Field(default=1_000_000, ge=0, description="likewise")

    def limits(self, payer: str) -> tuple[int, int]:
        """Bytes and items of a payer who has no limits of their own."""
        if payer.startswith(ADMINISTRATION):
            return self.administration_bytes, self.administration_items
        return self.person_bytes, self.person_items


class UsageRow(Base):
    __tablename__ = "usages"

    payer: Mapped[str] = mapped_column(String, primary_key=True)
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    items: Mapped[int] = mapped_column(BigInteger, default=0)
    # Limits of this payer's own; None: those of the settings.
    max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_items: Mapped[int | None] = mapped_column(BigInteger)


_COUNTS = select(UsageRow.bytes, UsageRow.items, UsageRow.max_bytes, UsageRow.max_items).where(
    UsageRow.payer == bindparam("payer")
)


def payer_of(acting: Acting) -> str:
    """Whose usage the deposits of a call are."""
    if acting.administration:
        return ADMINISTRATION + acting.administration
    return PERSON + acting.principal_id


class Usages:
    def __init__(self, session: Session, settings: QuotaSettings) -> None:
        self._session, self._settings = session, settings

    def of(self, payer: str) -> usage_pb2.Usage:
        # Columns: an object of the session would have the counts of before.
        row = self._session.execute(_COUNTS, {"payer": payer}).one_or_none()
        limits = self._settings.limits(payer)
        usage = usage_pb2.Usage(limit_bytes=limits[0], limit_items=limits[1])
        if payer.startswith(ADMINISTRATION):
            usage.administration = payer.removeprefix(ADMINISTRATION)
        if row is not None:
            usage.used_bytes, usage.used_items = row.bytes, row.items
            if row.max_bytes is not None:
                usage.limit_bytes = row.max_bytes
            if row.max_items is not None:
                usage.limit_items = row.max_items
        return usage

    def require(self, payer: str, more_bytes: int = 0, more_items: int = 0) -> None:
        """With nothing more: that what this transaction has added is within the limits, for good.
        With more: that there is room now, before it is sent.

        Raises:
            OverQuota: says of what there is too much, and how to mend it.
        """
        usage = self.of(payer)
        for unit, used, more, limit in (
            ("bytes", usage.used_bytes, more_bytes, usage.limit_bytes),
            ("documents and versions", usage.used_items, more_items, usage.limit_items),
        ):
            if used + more > limit:
                whose = "Your administration's" if usage.administration else "Your"
                raise OverQuota(
                    f"{whose} vault has room for {limit} {unit}, and this would make"
                    f" {used + more}: remove some, or ask for more.",
                    metadata={"limit": str(limit), "used": str(used + more)},
                )

    def set_limits(self, payer: str, max_bytes: int | None, max_items: int | None) -> None:
        """Gives a payer limits of their own; None: those of the settings."""
        values = {"max_bytes": max_bytes, "max_items": max_items}
        statement = insert(UsageRow).values(payer=payer, bytes=0, items=0, **values)
        self._session.execute(
            statement.on_conflict_do_update(index_elements=["payer"], set_=values)
        )


@contextmanager
def depositing(
    db: Transactions, store: ObjectStore, settings: QuotaSettings, row: ContentRow
) -> Iterator[Session]:
    """A transaction that adds a content, whose object is there, if its payer has room for it.

    Raises:
        OverQuota: there is none. After this, or any refusal within, the object is gone. Within
        another transaction, a savepoint around this undoes what was added.
    """
    try:
        with db.transaction() as session:
            yield session
            session.flush()
            Usages(session, settings).require(str(row.payer))
    except DomainError:
        # It was undone before its commit: nothing refers to the object.
        store.delete(row.key)
        raise


def hold_payers(session: Session, payers: Iterable[str | None]) -> None:
    """Holds payers' rows until the transaction ends, before what changes them is flushed: whoever
    changes those of several takes them in this order, so that no two wait for one another.
    """
    named = [payer for payer in payers if payer is not None]
    if len(named) > 1:
        query = select(UsageRow.payer).where(UsageRow.payer.in_(named)).order_by(UsageRow.payer)
        with session.no_autoflush:
            session.execute(query.with_for_update())


def forget(session: Session, account_id: uuid.UUID) -> None:
    """The person is forgotten, once nothing of theirs is counted any more: what went after that
    would be taken off anew.
    """
    session.execute(delete(UsageRow).where(UsageRow.payer == f"{PERSON}{account_id}"))
