"""Identity: who a person is, for every public service."""

from administration.identity.v1 import events_pb2, identity_pb2

from backbone.database import Database, Transactions
from backbone.events import Events, Publisher
from backbone.rpc import Call, CurrentCall, Grpc
from services.identity.accounts import Accounts, to_proto
from services.identity.domain.account import Account, Profile
from services.identity.realm import Realm, RealmDirectory

grpc = Grpc.implementing("administration.identity.v1.IdentityService")


class IdentityService:
    name = "identity"

    db: Transactions = Database()
    events: Publisher = Events()
    call: Call = CurrentCall()
    realm: RealmDirectory = Realm()

    @grpc
    def get_me(self, request: identity_pb2.GetMeRequest) -> identity_pb2.GetMeResponse:
        caller = self.call.authenticated
        profile = Profile.of_claims(caller.name, caller.email, caller.email_verified, caller.locale)
        account = self._seen(caller.subject, profile)
        return identity_pb2.GetMeResponse(account=to_proto(account))

    @grpc
    def get_contact(
        self, request: identity_pb2.GetContactRequest
    ) -> identity_pb2.GetContactResponse:
        with self.db.transaction() as session:
            account = Accounts(session).find(request.account_id)
        # Someone who deposited before ever opening their account: the realm knows them.
        account = account or self._seen(request.account_id, self.realm.profile(request.account_id))
        return identity_pb2.GetContactResponse(
            display_name=account.profile.display_name,
            email=account.profile.reachable_email,
            locale=account.profile.locale,
        )

    def _seen(self, account_id: str, profile: Profile) -> Account:
        with self.db.transaction() as session:
            account, created = Accounts(session).see(account_id, profile)
            if created:
                event = events_pb2.AccountCreated(account_id=account_id)
                event.create_time.FromDatetime(account.create_time)
                self.events.publish(event)
        return account
