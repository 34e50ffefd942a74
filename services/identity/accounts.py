"""Accounts, as identity stores them."""

import uuid
from datetime import datetime

from administration.identity.v1 import identity_pb2
from sqlalchemy import Boolean, DateTime, String, func, update
from sqlalchemy.dialects.postgresql import UUID, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone.database import Base
from services.identity.domain.account import Account, Profile


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

    def to_domain(self) -> Account:
        profile = Profile(self.display_name, self.email, self.email_verified, self.locale)
        return Account(str(self.account_id), profile, self.create_time)


class Accounts:
    """The accounts within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def find(self, account_id: str) -> Account | None:
        row = self._session.get(AccountRow, uuid.UUID(account_id))
        return row.to_domain() if row else None

    def see(self, account_id: str, profile: Profile) -> tuple[Account, bool]:
        """The account, created or brought up to date; true when this call created it.

        Of several first sights at once, exactly one creates.
        """
        account = self.find(account_id)
        if account is not None and account.profile == profile:
            return account, False
        values = {
            "display_name": profile.display_name,
            "email": profile.email,
            "email_verified": profile.email_verified,
            "locale": profile.locale,
        }
        key = uuid.UUID(account_id)
        created = self._session.execute(
            insert(AccountRow)
            .values(account_id=key, **values)
            .on_conflict_do_nothing()
            .returning(AccountRow.create_time)
        ).scalar()
        if created is not None:
            return Account(account_id, profile, created), True
        updated = self._session.execute(
            update(AccountRow)
            .where(AccountRow.account_id == key)
            .values(**values)
            .returning(AccountRow.create_time)
        ).scalar_one()
        return Account(account_id, profile, updated), False


def to_proto(account: Account) -> identity_pb2.Account:
    message = identity_pb2.Account(
        account_id=account.account_id,
        display_name=account.profile.display_name,
        email=account.profile.email,
        locale=account.profile.locale,
    )
    message.create_time.FromDatetime(account.create_time)
    return message
