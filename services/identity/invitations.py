"""Invitations into organisations, as identity stores them, within one transaction."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from administration.identity.v1 import organisations_pb2
from sqlalchemy import DateTime, ForeignKey, SmallInteger, String, func, select, update
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.orm import Mapped, Session, mapped_column

from backbone import paging
from backbone.database import Base
from backbone.errors import NotFound
from services.identity.domain.organisation import InvitationState, invitation_state
from services.identity.organisations import OrganisationRow

# Of one organisation at the same time: who invites more is sending something else.
MAX_WAITING = 200
LISTED = 50


class InvitationRow(Base):
    """An invitation; its address is forgotten when it ends."""

    __tablename__ = "invitations"

    invitation_id: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True), primary_key=True)
    organisation_id: Mapped[uuid.UUID] = mapped_column(ForeignKey(OrganisationRow.organisation_id))
    email: Mapped[str] = mapped_column(String(254))
    role: Mapped[int] = mapped_column(SmallInteger)
    invited_by: Mapped[uuid.UUID] = mapped_column(UUID(as_uuid=True))
    create_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    expire_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    accept_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    accepted_by: Mapped[uuid.UUID | None] = mapped_column(UUID(as_uuid=True))
    revoke_time: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))

    def state(self) -> InvitationState:
        return invitation_state(
            self.expire_time, self.accept_time, self.revoke_time, datetime.now(UTC)
        )

    def to_proto(self) -> organisations_pb2.Invitation:
        message = organisations_pb2.Invitation(
            invitation_id=str(self.invitation_id),
            organisation_id=str(self.organisation_id),
            email=self.email,
            role=organisations_pb2.MemberRole.ValueType(self.role),
            state=organisations_pb2.InvitationState.ValueType(self.state()),
        )
        message.create_time.FromDatetime(self.create_time)
        message.expire_time.FromDatetime(self.expire_time)
        return message


_WAITING = (
    InvitationRow.accept_time.is_(None),
    InvitationRow.revoke_time.is_(None),
    InvitationRow.expire_time > func.now(),
)


class Invitations:
    """Invitations within one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: InvitationRow) -> None:
        self._session.add(row)
        self._session.flush()

    def waiting(self, organisation: OrganisationRow, email: str) -> InvitationRow | None:
        """The invitation that waits for an address; the organisation must be locked."""
        of = InvitationRow.organisation_id == organisation.organisation_id
        query = select(InvitationRow).where(of, InvitationRow.email == email, *_WAITING)
        return self._session.scalar(query)

    def count_waiting(self, organisation: OrganisationRow) -> int:
        of = InvitationRow.organisation_id == organisation.organisation_id
        query = select(func.count()).select_from(InvitationRow).where(of, *_WAITING)
        return self._session.scalar(query) or 0

    def of(self, organisation: OrganisationRow, invitation_id: str) -> InvitationRow:
        """An invitation of an organisation, locked.

        Raises:
            NotFound: it does not exist, or is another's.
        """
        row = self._session.scalar(
            select(InvitationRow)
            .where(
                InvitationRow.invitation_id == uuid.UUID(invitation_id),
                InvitationRow.organisation_id == organisation.organisation_id,
            )
            .with_for_update()
        )
        if row is None:
            raise _unknown()
        return row

    def find(self, invitation_id: str, *, lock: bool = False) -> InvitationRow:
        """Whosever it is. Raises `NotFound` like `of`."""
        key = uuid.UUID(invitation_id)
        row = self._session.get(InvitationRow, key, with_for_update=lock or None)
        if row is None:
            raise _unknown()
        return row

    def for_person(self, invitation_id: str, account_id: str, email: str) -> InvitationRow:
        """An invitation for an address, or that this account has accepted; locked.

        Raises:
            NotFound: it does not exist, or is for somebody else.
        """
        row = self.find(invitation_id, lock=True)
        if row.accepted_by != uuid.UUID(account_id) and (not email or row.email != email):
            raise _unknown()
        return row

    def waiting_for(self, email: str) -> Sequence[tuple[InvitationRow, OrganisationRow]]:
        """Those that wait for an address, newest first."""
        query = (
            select(InvitationRow, OrganisationRow)
            .join(OrganisationRow)
            .where(InvitationRow.email == email, *_WAITING)
            .order_by(InvitationRow.create_time.desc())
            .limit(LISTED)
        )
        return [(row, organisation) for row, organisation in self._session.execute(query)]

    def page(
        self, organisation: OrganisationRow, page_size: int, page_token: str
    ) -> tuple[Sequence[InvitationRow], str]:
        """Newest first, and the token of the next page.

        Raises:
            InvalidInput: the page token is none of ours.
        """
        query = select(InvitationRow).where(
            InvitationRow.organisation_id == organisation.organisation_id
        )
        columns = (InvitationRow.create_time, InvitationRow.invitation_id)
        return paging.newest_first(self._session, query, columns, page_size, page_token)

    def forget_expired(self) -> None:
        """Forgets the addresses of those that ended by themselves."""
        self._session.execute(
            update(InvitationRow)
            .where(InvitationRow.expire_time <= func.now(), InvitationRow.email != "")
            .values(email="")
        )


def _unknown() -> NotFound:
    return NotFound("No such invitation.", reason="INVITATION_NOT_FOUND")
