"""Identity: who a person is, for every public service."""

from datetime import UTC, datetime

from administration.identity.v1 import (
    consents_pb2,
    identity_pb2,
    journal_pb2,
    keyring_pb2,
)

from backbone.accesses import accessed, represented
from backbone.database import Database, Transactions
from backbone.dependencies import Settings
from backbone.errors import InvalidInput
from backbone.events import Events, Publisher
from backbone.mandates import Mandates
from backbone.rpc import Call, CurrentCall, Grpc
from backbone.settings import EventSettings, RealmSettings
from backbone.tokens import Caller
from services.identity.accounts import Accounts, to_proto, told
from services.identity.administrations import Administrations, KnownAdministrations
from services.identity.changing import Changes
from services.identity.consents import Consents
from services.identity.domain.account import Account, Profile
from services.identity.domain.consent import Terms
from services.identity.erasure_methods import ErasureMethods, ErasureSettings
from services.identity.granting import Granting
from services.identity.journal_methods import JournalMethods
from services.identity.keyring import Keyring, MasterKeys
from services.identity.level_methods import LevelMethods
from services.identity.mandate_methods import MandateMethods, OwnMandates
from services.identity.masters import Masters
from services.identity.organisation_methods import OrganisationMethods
from services.identity.realm import Realm, RealmDirectory
from services.identity.realm_organizations import Organizations, RealmOrganizations
from services.identity.session_methods import SessionMethods
from services.identity.signing import Signer, Signing
from services.identity.watching import Watch

grpc = Grpc.implementing("administration.identity.v1.IdentityService")


class IdentityService(
    SessionMethods,
    LevelMethods,
    ErasureMethods,
    JournalMethods,
    MandateMethods,
    OrganisationMethods,
):
    name = "identity"

    db: Transactions = Database()
    events: Publisher = Events()
    call: Call = CurrentCall()
    mandates: Mandates = OwnMandates()
    realm: RealmDirectory = Realm()
    administrations: Administrations = KnownAdministrations()
    organizations: RealmOrganizations = Organizations()
    signer: Signer = Signing()
    masters: Masters = MasterKeys()
    settings: EventSettings = Settings(EventSettings)
    realm_settings: RealmSettings = Settings(RealmSettings)
    erasure_settings: ErasureSettings = Settings(ErasureSettings)
    watch: Watch = Watch()

    @grpc
    def get_me(self, request: identity_pb2.GetMeRequest) -> identity_pb2.GetMeResponse:
        acting = self.call.acting
        if acting.mandate_id:
            account = self._known(acting.principal_id)
            self._tell_principal("account.read", ("account", account.account_id))
        else:
            account = self._own(acting.actor)
        return identity_pb2.GetMeResponse(account=to_proto(account))

    @grpc
    def update_me(self, request: identity_pb2.UpdateMeRequest) -> identity_pb2.UpdateMeResponse:
        caller, changes = self.call.authenticated, Changes.asked(request)
        if changes.locale:
            # The realm first: what it does not take, nobody is told.
            self.realm.set_locale(caller.subject, changes.locale)
            account = self._asked(caller.subject)
        else:
            account = self._own(caller)
        if changes.columns:
            with self.db.transaction() as session:
                account = Accounts(session).change(caller.subject, changes.columns)
        return identity_pb2.UpdateMeResponse(account=to_proto(account))

    def _tell_principal(self, action: str, resource: tuple[str, str]) -> None:
        """In the journal of whom the caller represents, if they do."""
        if self.call.acting.mandate_id:
            with self.db.transaction():
                self.events.publish(represented(self.call.acting, action, resource))

    @grpc
    def get_contact(
        self, request: identity_pb2.GetContactRequest
    ) -> identity_pb2.GetContactResponse:
        account = self._known(request.account_id)
        return identity_pb2.GetContactResponse(
            display_name=account.profile.display_name,
            email=account.profile.reachable_email,
            locale=account.profile.locale,
        )

    def _own(self, caller: Caller) -> Account:
        """The caller's, with what their token says."""
        profile = Profile.of_claims(caller.name, caller.email, caller.email_verified, caller.locale)
        return self._seen(caller.subject, profile, datetime.fromtimestamp(caller.issued_at, UTC))

    def _known(self, account_id: str) -> Account:
        with self.db.transaction() as session:
            account = Accounts(session).find(account_id)
        # Someone who deposited before ever opening their account: the realm knows them.
        return account or self._asked(account_id)

    def _asked(self, account_id: str) -> Account:
        """What the realm says now."""
        now = datetime.now(UTC)
        return self._seen(account_id, self.realm.profile(account_id), now)

    def _seen(self, account_id: str, profile: Profile, as_of: datetime) -> Account:
        with self.db.transaction() as session:
            account, seen = Accounts(session).see(account_id, profile, as_of)
            if (event := told(account, seen, as_of)) is not None:
                self.events.publish(event)
        return account

    # ---- consents -------------------------------------------------------------------------------

    @grpc
    def grant_consent(
        self, request: consents_pb2.GrantConsentRequest
    ) -> consents_pb2.GrantConsentResponse:
        terms = Terms.asked(
            request.administration,
            request.purpose,
            request.scopes,
            request.expire_time.ToDatetime(UTC),
            datetime.now(UTC),
        )
        if terms.administration not in self.administrations:
            raise InvalidInput.field(
                "administration", "UNKNOWN", "is the alias of no administration of the realm"
            )
        return consents_pb2.GrantConsentResponse(consent=self._granting().grant(terms).to_proto())

    @grpc
    def list_consents(
        self, request: consents_pb2.ListConsentsRequest
    ) -> consents_pb2.ListConsentsResponse:
        with self.db.transaction() as session:
            account_id = self.call.acting.principal_id
            self._tell_principal("consents.list", ("account", account_id))
            consents = Consents(session, account_id)
            rows, token = consents.page(request.page_size, request.page_token)
        return consents_pb2.ListConsentsResponse(
            consents=[row.to_proto() for row in rows], next_page_token=token
        )

    @grpc
    def get_consent(
        self, request: consents_pb2.GetConsentRequest
    ) -> consents_pb2.GetConsentResponse:
        with self.db.transaction() as session:
            row = Consents(session, self.call.acting.principal_id).get(request.consent_id)
            self._tell_principal("consents.read", ("consent", request.consent_id))
        return consents_pb2.GetConsentResponse(consent=row.to_proto())

    @grpc
    def revoke_consent(
        self, request: consents_pb2.RevokeConsentRequest
    ) -> consents_pb2.RevokeConsentResponse:
        row = self._granting().revoke(request.consent_id)
        return consents_pb2.RevokeConsentResponse(consent=row.to_proto())

    @grpc
    def check_consent(
        self, request: consents_pb2.CheckConsentRequest
    ) -> consents_pb2.CheckConsentResponse:
        with self.db.transaction() as session:
            consents = Consents(session, request.account_id)
            row = consents.granting(request.administration, request.scope)
            if row is not None:
                # What is asked here is given next.
                self.events.publish(
                    accessed(
                        self.call.authenticated,
                        str(row.account_id),
                        request.scope,
                        ("account", str(row.account_id)),
                        (journal_pb2.GROUNDS_CONSENT, str(row.consent_id)),
                        request.administration,
                    )
                )
        if row is None:
            return consents_pb2.CheckConsentResponse()
        answer = consents_pb2.CheckConsentResponse(granted=True, consent_id=str(row.consent_id))
        answer.expire_time.FromDatetime(row.expire_time)
        return answer

    @grpc
    def list_signing_keys(
        self, request: consents_pb2.ListSigningKeysRequest
    ) -> consents_pb2.ListSigningKeysResponse:
        keys = [consents_pb2.SigningKey(**key) for key in self.signer.public_keys()]
        return consents_pb2.ListSigningKeysResponse(keys=keys)

    def _granting(self) -> Granting:
        account_id = self.call.authenticated.subject
        return Granting(self.db, self.events, self.signer, self.settings.public_url, account_id)

    # ---- the keyring ----------------------------------------------------------------------------

    @grpc
    def get_keys(self, request: keyring_pb2.GetKeysRequest) -> keyring_pb2.GetKeysResponse:
        with self.db.transaction() as session:
            keys = Keyring(session, self.masters).keys(request.owner_id)
        return keyring_pb2.GetKeysResponse(
            keys=[keyring_pb2.OwnerKey(key_id=str(key.key_id), key=key.key) for key in keys]
        )
