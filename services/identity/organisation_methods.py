"""The rpcs about organisations, their members and invitations, and what runs behind them."""

import uuid
from collections.abc import Callable, Iterable

from administration.identity.v1 import journal_pb2, organisations_pb2

from backbone.accesses import accessed
from backbone.database import Transactions
from backbone.events import Publisher
from backbone.loops import loop
from backbone.rpc import Call, Grpc
from services.identity.domain.account import Account
from services.identity.domain.organisation import InvitationState, Registration, address, role
from services.identity.ending import Ending
from services.identity.invitations import Invitations
from services.identity.organisations import OrganisationRow, Organisations
from services.identity.organising import Organising
from services.identity.realm_organizations import RealmOrganizations
from services.identity.realm_sync import RealmSync

grpc = Grpc.implementing("administration.identity.v1.IdentityService")


class OrganisationMethods:
    """A part of `IdentityService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    organizations: RealmOrganizations
    _known: Callable[[str], Account]
    _ending: Callable[[], Ending]

    @grpc
    def create_organisation(
        self, request: organisations_pb2.CreateOrganisationRequest
    ) -> organisations_pb2.CreateOrganisationResponse:
        asked = Registration.asked(request.kind, request.alias, request.name, request.siret)
        row = self._organising().create(asked)
        return organisations_pb2.CreateOrganisationResponse(organisation=row.to_proto())

    @grpc
    def list_organisations(
        self, request: organisations_pb2.ListOrganisationsRequest
    ) -> organisations_pb2.ListOrganisationsResponse:
        with self.db.transaction() as session:
            rows, token = Organisations(session, self.call.authenticated).page(
                request.query, request.kind, request.page_size, request.page_token
            )
        return organisations_pb2.ListOrganisationsResponse(
            organisations=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def get_organisation(
        self, request: organisations_pb2.GetOrganisationRequest
    ) -> organisations_pb2.GetOrganisationResponse:
        with self.db.transaction() as session:
            row = Organisations(session, self.call.authenticated).get(request.organisation_id)
        return organisations_pb2.GetOrganisationResponse(organisation=row.to_proto())

    @grpc
    def list_memberships(
        self, request: organisations_pb2.ListMembershipsRequest
    ) -> organisations_pb2.ListMembershipsResponse:
        with self.db.transaction() as session:
            own = Organisations(session, self.call.authenticated).own()
        return organisations_pb2.ListMembershipsResponse(
            memberships=[member.to_membership(row) for member, row in own]
        )

    # ---- members --------------------------------------------------------------------------------

    @grpc
    def list_members(
        self, request: organisations_pb2.ListMembersRequest
    ) -> organisations_pb2.ListMembersResponse:
        with self.db.transaction() as session:
            organisations = Organisations(session, self.call.authenticated)
            row = organisations.managed(request.organisation_id)
            members, token = organisations.members(row, request.page_size, request.page_token)
            names = organisations.names(members)
            self._record(row, [member.account_id for member in members])
        return organisations_pb2.ListMembersResponse(
            members=[member.to_proto(names.get(member.account_id, "")) for member in members],
            next_page_token=token,
        )

    @grpc
    def set_member(
        self, request: organisations_pb2.SetMemberRequest
    ) -> organisations_pb2.SetMemberResponse:
        wanted, account_id = role(request.role), request.account_id.lower()
        caller = self.call.authenticated
        if "admin" in caller.roles:
            # Whom they add, the realm must know; a manager changes who is a member already.
            self._known(account_id)
        with self.db.transaction() as session:
            member = self._organising().set_member(request.organisation_id, account_id, wanted)
            organisations = Organisations(session, caller)
            self._record(organisations.get(request.organisation_id), [member.account_id])
            name = organisations.names([member]).get(member.account_id, "")
        return organisations_pb2.SetMemberResponse(member=member.to_proto(name))

    @grpc
    def remove_member(
        self, request: organisations_pb2.RemoveMemberRequest
    ) -> organisations_pb2.RemoveMemberResponse:
        self._organising().remove_member(request.organisation_id, request.account_id.lower())
        return organisations_pb2.RemoveMemberResponse()

    # ---- invitations ----------------------------------------------------------------------------

    @grpc
    def invite_member(
        self, request: organisations_pb2.InviteMemberRequest
    ) -> organisations_pb2.InviteMemberResponse:
        wanted = role(request.role)
        invitation = self._organising().invite(request.organisation_id, request.email, wanted)
        return organisations_pb2.InviteMemberResponse(invitation=invitation.to_proto())

    @grpc
    def list_invitations(
        self, request: organisations_pb2.ListInvitationsRequest
    ) -> organisations_pb2.ListInvitationsResponse:
        with self.db.transaction() as session:
            row = Organisations(session, self.call.authenticated).managed(request.organisation_id)
            rows, token = Invitations(session).page(row, request.page_size, request.page_token)
        return organisations_pb2.ListInvitationsResponse(
            invitations=[each.to_proto() for each in rows], next_page_token=token
        )

    @grpc
    def revoke_invitation(
        self, request: organisations_pb2.RevokeInvitationRequest
    ) -> organisations_pb2.RevokeInvitationResponse:
        invitation = self._organising().revoke(request.organisation_id, request.invitation_id)
        return organisations_pb2.RevokeInvitationResponse(invitation=invitation.to_proto())

    @grpc
    def list_my_invitations(
        self, request: organisations_pb2.ListMyInvitationsRequest
    ) -> organisations_pb2.ListMyInvitationsResponse:
        caller = self.call.authenticated
        if not (caller.email and caller.email_verified):
            return organisations_pb2.ListMyInvitationsResponse()
        with self.db.transaction() as session:
            waiting = Invitations(session).waiting_for(address(caller.email))
        return organisations_pb2.ListMyInvitationsResponse(
            invitations=[
                organisations_pb2.ReceivedInvitation(
                    invitation=each.to_proto(), organisation=organisation.to_proto()
                )
                for each, organisation in waiting
            ]
        )

    @grpc
    def accept_invitation(
        self, request: organisations_pb2.AcceptInvitationRequest
    ) -> organisations_pb2.AcceptInvitationResponse:
        member, organisation = self._organising().accept(request.invitation_id)
        return organisations_pb2.AcceptInvitationResponse(
            membership=member.to_membership(organisation)
        )

    @grpc
    def get_invitation_letter(
        self, request: organisations_pb2.GetInvitationLetterRequest
    ) -> organisations_pb2.GetInvitationLetterResponse:
        with self.db.transaction() as session:
            invitation = Invitations(session).find(request.invitation_id)
            organisation = session.get_one(OrganisationRow, invitation.organisation_id)
        waits = invitation.state() is InvitationState.SENT
        letter = organisations_pb2.GetInvitationLetterResponse(
            email=invitation.email if waits else "", organisation_name=organisation.name
        )
        letter.expire_time.FromDatetime(invitation.expire_time)
        return letter

    # ---- behind ---------------------------------------------------------------------------------

    @loop(every=0.3)
    def tell_realm(self) -> bool:
        """Tells the realm of one organisation or member; true when there was one."""
        return RealmSync(self.db, self.organizations, self._ending()).step()

    @loop(every=60.0)
    def forget_addresses(self) -> bool:
        """Forgets where invitations went that have expired."""
        with self.db.transaction() as session:
            Invitations(session).forget_expired()
        return False

    def _record(self, row: OrganisationRow, seen: Iterable[uuid.UUID]) -> None:
        """In the journals of members, that the caller was told of them."""
        caller = self.call.authenticated
        resource = ("organisation", str(row.organisation_id))
        grounds = (journal_pb2.GROUNDS_MEMBERSHIP, str(row.organisation_id))
        # Whom a company's manager acts for, tokens do not say.
        administration = row.alias if "admin" not in caller.roles else ""
        for account_id in map(str, seen):
            if account_id != caller.subject:
                self.events.publish(
                    accessed(
                        caller,
                        account_id,
                        "organisations.members",
                        resource,
                        grounds,
                        administration,
                    )
                )

    def _organising(self) -> Organising:
        return Organising(self.db, self.events, self._ending(), self.call.authenticated)
