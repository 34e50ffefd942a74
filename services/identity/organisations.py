"""Organisations and their members, as identity stores them, within one transaction.

What the realm is to be told is a row that says so (`realm_id` that is missing, `told` that is
false): see `services.identity.realm_sync`.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from administration.identity.v1 import organisations_pb2
from sqlalchemy import (
    Boolean,
    DateTime,
    ForeignKey,
    Integer,
    Select,
    SmallInteger,
    String,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from backbone.errors import Conflict, Forbidden, NotFound
from backbone.tokens import Caller
from services.identity.accounts import AccountRow
from services.identity.domain.organisation import Kind, Registration, Role


class OrganisationRow(Base):
    __tablename__ = "organisations"

    organisation_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    kind: Mapped[int] = mapped_column(SmallInteger)
    alias: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String)
    siret: Mapped[str] = mapped_column(String(14))
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # Of its organization in the realm; None until that is made.
    realm_id: Mapped[str | None] = mapped_column(String(64))
    next_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    attempts: Mapped[int] = mapped_column(Integer, default=0)

    @property
    def registration(self) -> Registration:
        return Registration(Kind(self.kind), self.alias, self.name, self.siret)

    def to_proto(self) -> organisations_pb2.Organisation:
        message = organisations_pb2.Organisation(
            organisation_id=str(self.organisation_id),
            kind=organisations_pb2.OrganisationKind.ValueType(self.kind),
            alias=self.alias,
            name=self.name,
            siret=self.siret,
        )
        message.create_time.FromDatetime(self.create_time)
        return message


class MembershipRow(Base):
    """A membership, kept once it has ended until the realm was told."""

    __tablename__ = "memberships"

    organisation_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey(OrganisationRow.organisation_id), primary_key=True
    )
    account_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    # None once it has ended.
    role: Mapped[int | None] = mapped_column(SmallInteger)
    join_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # Whether the realm has it as it is here.
    told: Mapped[bool] = mapped_column(Boolean, default=False)
    next_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    attempts: Mapped[int] = mapped_column(Integer, default=0)

    def to_proto(self, display_name: str) -> organisations_pb2.Member:
        message = organisations_pb2.Member(
            account_id=str(self.account_id),
            display_name=display_name,
            role=organisations_pb2.MemberRole.ValueType(self.role or 0),
            in_realm=self.told,
        )
        message.join_time.FromDatetime(self.join_time)
        return message

    def to_membership(self, organisation: OrganisationRow) -> organisations_pb2.Membership:
        message = organisations_pb2.Membership(
            organisation=organisation.to_proto(),
            role=organisations_pb2.MemberRole.ValueType(self.role or 0),
            in_realm=self.told,
        )
        message.join_time.FromDatetime(self.join_time)
        return message


class Organisations:
    """Organisations and memberships within one transaction, for one caller."""

    def __init__(self, session: Session, caller: Caller) -> None:
        self._session = session
        self._administers = "admin" in caller.roles
        self._account_id = uuid.UUID(caller.subject)

    def registered(self, registration: Registration) -> OrganisationRow | None:
        """The organisation that is registered so, found by one caller at a time.

        Raises:
            Conflict: its alias or its SIRET is another's.
        """
        lock = func.pg_advisory_xact_lock(func.hashtext("organisations"))
        self._session.execute(select(lock))
        row = self._session.scalar(
            select(OrganisationRow).where(
                or_(
                    OrganisationRow.alias == registration.alias,
                    OrganisationRow.siret == registration.siret,
                )
            )
        )
        if row is not None and row.registration != registration:
            raise Conflict(
                "Another organisation has this alias or this SIRET.", reason="ORGANISATION_EXISTS"
            )
        return row

    def add(self, row: OrganisationRow | MembershipRow) -> None:
        self._session.add(row)
        self._session.flush()

    def get(self, organisation_id: str, *, lock: bool = False) -> OrganisationRow:
        """An organisation that the caller may see.

        Raises:
            NotFound: it does not exist, or is not the caller's to see.
        """
        query = self._visible().where(OrganisationRow.organisation_id == uuid.UUID(organisation_id))
        row = self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound("No such organisation.", reason="ORGANISATION_NOT_FOUND")
        return row

    def managed(self, organisation_id: str, *, lock: bool = False) -> OrganisationRow:
        """An organisation whose members the caller decides about.

        Raises:
            NotFound: as `get`. Forbidden: the caller neither manages it nor is an administrator.
        """
        row = self.get(organisation_id, lock=lock)
        own = self.membership(row, str(self._account_id))
        if not self._administers and (own is None or own.role != Role.MANAGER):
            raise Forbidden("The managers of the organisation decide this.", reason="NOT_A_MANAGER")
        return row

    def page(
        self, words: str, kind: int, page_size: int, page_token: str
    ) -> tuple[Sequence[OrganisationRow], str]:
        """Those that the caller may see, newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = self._visible()
        if words := words.strip():
            query = query.where(
                or_(
                    OrganisationRow.name.icontains(words, autoescape=True),
                    OrganisationRow.alias == words,
                    OrganisationRow.siret == "".join(words.split()),
                )
            )
        if kind:
            query = query.where(OrganisationRow.kind == kind)
        columns = (OrganisationRow.create_time, OrganisationRow.organisation_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def membership(self, row: OrganisationRow, account_id: str) -> MembershipRow | None:
        """A membership that has not ended."""
        found = self.any_membership(row, account_id)
        return found if found is not None and found.role is not None else None

    def any_membership(self, row: OrganisationRow, account_id: str) -> MembershipRow | None:
        """A membership, also one that has ended."""
        return self._session.get(MembershipRow, (row.organisation_id, uuid.UUID(account_id)))

    def other_managers(self, row: OrganisationRow, account_id: str) -> bool:
        """Whether somebody else manages it too; the organisation must be locked."""
        query = select(MembershipRow).where(
            MembershipRow.organisation_id == row.organisation_id,
            MembershipRow.role == Role.MANAGER,
            MembershipRow.account_id != uuid.UUID(account_id),
        )
        return self._session.scalars(query.limit(1)).first() is not None

    def members(
        self, row: OrganisationRow, page_size: int, page_token: str
    ) -> tuple[Sequence[MembershipRow], str]:
        """Newest first, and the token of the next page. Raises `InvalidInput` like `page`."""
        query = select(MembershipRow).where(
            MembershipRow.organisation_id == row.organisation_id, MembershipRow.role.is_not(None)
        )
        columns = (MembershipRow.join_time, MembershipRow.account_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def names(self, members: Sequence[MembershipRow]) -> dict[uuid.UUID, str]:
        """The display names of those whose account was opened here."""
        rows = self._session.execute(
            select(AccountRow.account_id, AccountRow.display_name).where(
                AccountRow.account_id.in_([member.account_id for member in members])
            )
        )
        return {row.account_id: row.display_name for row in rows}

    def own(self) -> Sequence[tuple[MembershipRow, OrganisationRow]]:
        """What the caller is a member of, newest first."""
        return memberships_of(self._session, str(self._account_id))

    def _visible(self) -> Select[OrganisationRow]:
        query = select(OrganisationRow)
        if self._administers:
            return query
        own = exists().where(
            MembershipRow.organisation_id == OrganisationRow.organisation_id,
            MembershipRow.account_id == self._account_id,
            MembershipRow.role.is_not(None),
        )
        return query.where(or_(OrganisationRow.kind == Kind.ADMINISTRATION, own))


def memberships_of(
    session: Session, account_id: str
) -> Sequence[tuple[MembershipRow, OrganisationRow]]:
    """What a person is a member of, newest first."""
    query = (
        select(MembershipRow, OrganisationRow)
        .join(OrganisationRow)
        .where(MembershipRow.account_id == uuid.UUID(account_id), MembershipRow.role.is_not(None))
        .order_by(MembershipRow.join_time.desc())
    )
    return [(member, row) for member, row in session.execute(query)]


def joined(row: OrganisationRow, account_id: str, role: Role) -> MembershipRow:
    """A new membership, which the realm is yet to be told of."""
    now = datetime.now(UTC)
    return MembershipRow(
        organisation_id=row.organisation_id,
        account_id=uuid.UUID(account_id),
        role=role,
        join_time=now,
        told=False,
        next_time=now,
        attempts=0,
    )
