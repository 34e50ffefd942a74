"""Accounts, as identity stores them."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from enum import Enum, auto

from administration.identity.v1 import events_pb2, identity_pb2
from sqlalchemy import Boolean, DateTime, String, func, or_, update
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.database import Base
from services.identity.domain.account import Account, Profile
from services.identity.domain.contact import PostalAddress


class AccountRow(Base):
    __tablename__ = "accounts"

    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    display_name: Mapped[str] = mapped_column(String)
    email: Mapped[str] = mapped_column(String)
    email_verified: Mapped[bool] = mapped_column(Boolean)
    locale: Mapped[str] = mapped_column(String(8))
    create_time: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now()
    )
    # When the realm said so: what it said earlier brings nothing back.
    as_of: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # What the person said themselves; empty for none.
    phone_number: Mapped[str] = mapped_column(String(16), default="")
    street_address: Mapped[str] = mapped_column(String, default="")
    postal_code: Mapped[str] = mapped_column(String, default="")
    locality: Mapped[str] = mapped_column(String, default="")
    country: Mapped[str] = mapped_column(String(2), default="")

    def to_domain(self) -> Account:
        return Account(
            str(self.account_id),
            Profile(self.display_name, self.email, self.email_verified, self.locale),
            self.create_time,
            self.phone_number,
            PostalAddress(self.street_address, self.postal_code, self.locality, self.country),
        )


class Seen(Enum):
    """What came of it that the realm said something of an account."""

    CREATED = auto()
    UPDATED = auto()
    # Said before, or older than what is known.
    KNOWN = auto()


class Accounts:
    """The accounts within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, account_id: str) -> Account | None:
        row = self._session.get(AccountRow, uuid.UUID(account_id))
        return row.to_domain() if row else None

    def see(self, account_id: str, profile: Profile, as_of: datetime) -> tuple[Account, Seen]:
        """The account, created or brought up to date with what the realm said at `as_of`, and
        which of it this call did. What is older than what is known changes nothing.

        Of several first sights at once, exactly one creates.
        """
        account = self.find(account_id)
        if account is not None and account.profile == profile:
            return account, Seen.KNOWN
        said = {
            "display_name": profile.display_name,
            "email": profile.email,
            "email_verified": profile.email_verified,
            "locale": profile.locale,
        }
        values = {**said, "as_of": as_of}
        key = uuid.UUID(account_id)
        created = self._session.execute(
            insert(AccountRow)
            .values(account_id=key, **values)
            .on_conflict_do_nothing()
            .returning(AccountRow.create_time)
        ).scalar()
        if created is not None:
            return Account(account_id, profile, created), Seen.CREATED
        # Another first sight, at the same time, may have said the same.
        differs = or_(*(getattr(AccountRow, name) != value for name, value in said.items()))
        updated = self._session.execute(
            update(AccountRow)
            .where(AccountRow.account_id == key, AccountRow.as_of <= as_of, differs)
            .values(**values)
            .returning(AccountRow.create_time)
        ).scalar()
        row = self._session.get_one(AccountRow, key, populate_existing=True)
        return row.to_domain(), Seen.KNOWN if updated is None else Seen.UPDATED

    def change(self, account_id: str, columns: Mapping[str, str]) -> Account:
        """Sets what the person said themselves, of an account that is there."""
        row = self._session.get_one(AccountRow, uuid.UUID(account_id))
        for name, value in columns.items():
            setattr(row, name, value)
        return row.to_domain()


def told(
    account: Account, seen: Seen, as_of: datetime
) -> events_pb2.AccountCreated | events_pb2.AccountUpdated | None:
    """The event of what came of it that the realm said something; None when nothing did."""
    if seen is Seen.CREATED:
        created = events_pb2.AccountCreated(account_id=account.account_id)
        created.create_time.FromDatetime(account.create_time)
        return created
    if seen is Seen.UPDATED:
        updated = events_pb2.AccountUpdated(account_id=account.account_id)
        updated.update_time.FromDatetime(as_of)
        return updated
    return None


def to_proto(account: Account) -> identity_pb2.Account:
    message = identity_pb2.Account(
        account_id=account.account_id,
        display_name=account.profile.display_name,
        email=account.profile.email,
        locale=account.profile.locale,
        phone_number=account.phone_number,
    )
    if account.postal_address != PostalAddress():
        message.postal_address.MergeFrom(
            identity_pb2.PostalAddress(**asdict(account.postal_address))
        )
    message.create_time.FromDatetime(account.create_time)
    return message
