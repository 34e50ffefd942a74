"""What is done to organisations: each step is the row and its event, in one transaction.

The realm follows (`services.identity.realm_sync`): no step waits for it.
"""

import uuid
from datetime import UTC, datetime

from administration.identity.v1 import events_pb2, organisations_pb2
from sqlalchemy.orm import Session

from backbone.database import Transactions
from backbone.errors import Conflict, NotFound, TooMany
from backbone.events import Publisher
from backbone.tokens import Caller
from services.identity.domain.organisation import (
    INVITATION_LIFE,
    InvitationState,
    Kind,
    Registration,
    Role,
    address,
)
from services.identity.ending import Ending
from services.identity.invitations import MAX_WAITING, InvitationRow, Invitations
from services.identity.organisations import (
    MembershipRow,
    OrganisationRow,
    Organisations,
    joined,
)


class Organising:
    """What one caller does to organisations, their members and their invitations."""

    def __init__(self, db: Transactions, events: Publisher, ending: Ending, caller: Caller) -> None:
        self._db, self._events, self._ending, self._caller = db, events, ending, caller

    def create(self, registration: Registration) -> OrganisationRow:
        """Raises:
        Conflict: its alias or its SIRET is another's.
        """
        with self._db.transaction() as session:
            organisations = Organisations(session, self._caller)
            found = organisations.registered(registration)
            if found is not None:
                return found
            now = datetime.now(UTC)
            row = OrganisationRow(
                organisation_id=uuid.uuid4(),
                kind=registration.kind,
                alias=registration.alias,
                name=registration.name,
                siret=registration.siret,
                create_time=now,
                next_time=now,
            )
            organisations.add(row)
            event = events_pb2.OrganisationCreated(
                organisation_id=str(row.organisation_id),
                kind=organisations_pb2.OrganisationKind.ValueType(registration.kind),
            )
            event.create_time.FromDatetime(now)
            self._events.publish(event)
        return row

    def set_member(self, organisation_id: str, account_id: str, role: Role) -> MembershipRow:
        """Raises:
        NotFound: the organisation is not to be seen, or the account is no member.
        Forbidden: the caller is no manager. Conflict: it would have no manager.
        """
        with self._db.transaction() as session:
            organisations = Organisations(session, self._caller)
            row = organisations.managed(organisation_id, lock=True)
            member = organisations.membership(row, account_id)
            if member is None and "admin" not in self._caller.roles:
                raise _no_member()
            if member is not None and member.role == Role.MANAGER and role != Role.MANAGER:
                self._require_manager(organisations, row, account_id)
            return self._join(session, row, account_id, role)

    def remove_member(self, organisation_id: str, account_id: str) -> None:
        """Raises:
        NotFound: the organisation is not to be seen. Forbidden: the caller is no manager, and not
        the member. Conflict: it would have no manager.
        """
        own = account_id == self._caller.subject
        with self._db.transaction() as session:
            organisations = Organisations(session, self._caller)
            see = organisations.get if own else organisations.managed
            row = see(organisation_id, lock=True)
            member = organisations.membership(row, account_id)
            if member is None:
                return
            if member.role == Role.MANAGER:
                self._require_manager(organisations, row, account_id)
            member.role, member.told, member.next_time = None, False, datetime.now(UTC)
            self._events.publish(
                events_pb2.MemberRemoved(
                    organisation_id=str(row.organisation_id),
                    account_id=account_id,
                    removed_by=self._caller.subject,
                )
            )
            if row.kind == Kind.ADMINISTRATION:
                # Their tokens say whom they act for: none of before is accepted any more.
                self._ending.end_sessions(account_id, self._caller.subject)

    def invite(self, organisation_id: str, email: str, role: Role) -> InvitationRow:
        """Raises:
        NotFound, Forbidden: as `set_member`. Conflict: one waits with another role.
        TooMany: too many wait.
        """
        email = address(email)
        with self._db.transaction() as session:
            row = Organisations(session, self._caller).managed(organisation_id, lock=True)
            invitations = Invitations(session)
            found = invitations.waiting(row, email)
            if found is not None:
                if found.role != role:
                    raise Conflict(
                        f"The invitation {found.invitation_id} waits with another role: revoke it"
                        " first.",
                        reason="INVITATION_EXISTS",
                    )
                return found
            if invitations.count_waiting(row) >= MAX_WAITING:
                raise TooMany(
                    "Too many invitations wait for an answer: revoke some first.",
                    reason="TOO_MANY_INVITATIONS",
                )
            now = datetime.now(UTC)
            invitation = InvitationRow(
                invitation_id=uuid.uuid4(),
                organisation_id=row.organisation_id,
                email=email,
                role=role,
                invited_by=uuid.UUID(self._caller.subject),
                create_time=now,
                expire_time=now + INVITATION_LIFE,
            )
            invitations.add(invitation)
            event = events_pb2.MemberInvited(
                invitation_id=str(invitation.invitation_id),
                organisation_id=str(row.organisation_id),
                role=organisations_pb2.MemberRole.ValueType(role),
            )
            event.expire_time.FromDatetime(invitation.expire_time)
            self._events.publish(event)
        return invitation

    def revoke(self, organisation_id: str, invitation_id: str) -> InvitationRow:
        """Raises:
        NotFound, Forbidden: as `set_member`. Conflict: it was accepted or has expired.
        """
        with self._db.transaction() as session:
            row = Organisations(session, self._caller).managed(organisation_id)
            invitation = Invitations(session).of(row, invitation_id)
            if invitation.state() in (InvitationState.ACCEPTED, InvitationState.EXPIRED):
                raise _ended()
            if invitation.state() is InvitationState.SENT:
                invitation.revoke_time, invitation.email = datetime.now(UTC), ""
        return invitation

    def accept(self, invitation_id: str) -> tuple[MembershipRow, OrganisationRow]:
        """Raises:
        NotFound: it is for somebody else. Conflict: it has ended.
        """
        caller = self._caller
        email = address(caller.email) if caller.email_verified else ""
        with self._db.transaction() as session:
            invitation = Invitations(session).for_person(invitation_id, caller.subject, email)
            row = session.get_one(OrganisationRow, invitation.organisation_id)
            member = Organisations(session, caller).membership(row, caller.subject)
            if invitation.state() is InvitationState.SENT:
                invitation.accept_time, invitation.email = datetime.now(UTC), ""
                invitation.accepted_by = uuid.UUID(caller.subject)
                # Who manages already is not made less by an older invitation.
                role = max(
                    Role(invitation.role),
                    Role(member.role) if member and member.role else Role.AGENT,
                )
                member = self._join(session, row, caller.subject, role)
            elif invitation.state() is not InvitationState.ACCEPTED or member is None:
                raise _ended()
        return member, row

    def _join(
        self, session: Session, row: OrganisationRow, account_id: str, role: Role
    ) -> MembershipRow:
        organisations = Organisations(session, self._caller)
        member = organisations.any_membership(row, account_id)
        if member is not None and member.role == role:
            return member
        if member is None:
            member = joined(row, account_id, role)
            organisations.add(member)
        elif member.role is None:
            now = datetime.now(UTC)
            member.join_time, member.told, member.next_time = now, False, now
        # Another role is nothing that the realm knows of.
        member.role = role
        self._events.publish(
            events_pb2.MemberSet(
                organisation_id=str(row.organisation_id),
                account_id=account_id,
                role=organisations_pb2.MemberRole.ValueType(role),
                set_by=self._caller.subject,
            )
        )
        return member

    def _require_manager(
        self, organisations: Organisations, row: OrganisationRow, account_id: str
    ) -> None:
        if "admin" not in self._caller.roles and not organisations.other_managers(row, account_id):
            raise Conflict(
                "The organisation would have no manager: name another one first.",
                reason="LAST_MANAGER",
            )


def _no_member() -> NotFound:
    return NotFound("No such member.", reason="MEMBER_NOT_FOUND")


def _ended() -> Conflict:
    return Conflict("The invitation has ended.", reason="INVITATION_ENDED")
