"""The realm's organizations: Keycloak's admin interface behind the few things identity does."""

from collections.abc import Iterator
from typing import Any, Protocol

from keycloak.exceptions import KeycloakPostError
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone.errors import NotFound
from backbone.realm_admin import realm_admin
from backbone.settings import ClientSettings, RealmSettings, load
from backbone.tokens import COMPANY, KIND_ATTRIBUTE
from services.identity.domain.organisation import Kind, Registration
from services.identity.realm import TIMEOUT_SECONDS, telling

PAGE = 100
# The realm's role of those who are a member of an administration.
AGENT = "agent"


class RealmOrganizations(Protocol):
    """Every method may raise Unavailable: the realm does not answer, or refuses to. Every change
    may be made again: what is so already stays so.
    """

    def administrations(self) -> frozenset[str]:
        """The aliases of the enabled organizations that are no companies."""

    def ensure(self, registration: Registration) -> str:
        """The organization of an alias, made or taken over; its identifier in the realm."""

    def members(self, realm_id: str) -> list[str]:
        """The accounts that an organization has as members."""

    def add_member(self, realm_id: str, account_id: str) -> bool:
        """False: the realm has no such account any more."""

    def remove_member(self, realm_id: str, account_id: str) -> None:
        """Ends a membership."""

    def set_agent(self, account_id: str, *, agent: bool) -> None:
        """Gives an account the role of agents, or takes it away."""


class KeycloakOrganizations:
    """The realm itself, with identity's own client. Needs the roles ``manage-organizations`` and
    ``manage-users`` of ``realm-management``.
    """

    def __init__(self, realm: RealmSettings, client: ClientSettings) -> None:
        self._admin = realm_admin(
            realm, client.id, client.secret.get_secret_value(), TIMEOUT_SECONDS
        )

    def administrations(self) -> frozenset[str]:
        with telling():
            return frozenset(
                str(item["alias"])
                for item in self._all()
                if item.get("enabled")
                and (item.get("attributes") or {}).get(KIND_ATTRIBUTE) != [COMPANY]
            )

    def ensure(self, registration: Registration) -> str:
        with telling():
            found = self._find(registration.alias)
            if found is None:
                realm_id = self._admin.create_organization(self._body(registration))
                return str(realm_id)
            self._admin.update_organization(
                found["id"], {**found, **self._body(registration, str(found["name"]))}
            )
            return str(found["id"])

    def members(self, realm_id: str) -> list[str]:
        with telling():
            return [str(user["id"]) for user in self._admin.get_organization_members(realm_id)]

    def add_member(self, realm_id: str, account_id: str) -> bool:
        with telling():
            if not self._exists(account_id):
                return False
            try:
                self._admin.organization_user_add(account_id, realm_id)
            except KeycloakPostError as error:
                if error.response_code != 409:  # a member already
                    raise
        return True

    def remove_member(self, realm_id: str, account_id: str) -> None:
        with telling():
            if account_id in self.members(realm_id):
                self._admin.organization_user_remove(account_id, realm_id)

    def set_agent(self, account_id: str, *, agent: bool) -> None:
        with telling():
            if not self._exists(account_id):
                return
            # What may be mapped, and what is: reading the role itself would need a wider right.
            if agent:
                roles = self._admin.get_available_realm_roles_of_user(account_id)
                change = self._admin.assign_realm_roles
            else:
                roles = self._admin.get_realm_roles_of_user(account_id)
                change = self._admin.delete_realm_roles_of_user
            if found := [role for role in roles if role["name"] == AGENT]:
                change(account_id, found)

    def _exists(self, account_id: str) -> bool:
        try:
            with telling("No such account."):
                self._admin.get_user(account_id)
        except NotFound:
            return False
        return True

    def _find(self, alias: str) -> dict[str, Any] | None:
        return next((item for item in self._all() if item["alias"] == alias), None)

    def _all(self) -> Iterator[dict[str, Any]]:
        first = 0
        query = {"max": PAGE, "briefRepresentation": "false"}
        while page := self._admin.get_organizations(query={**query, "first": first}):
            yield from page
            first += len(page)

    def _body(self, registration: Registration, name: str = "") -> dict[str, Any]:
        kind = COMPANY if registration.kind is Kind.COMPANY else "administration"
        return {
            # In the realm a name is one organization's alone: the SIRET makes it so.
            "name": name or f"{registration.name} ({registration.siret})",
            "alias": registration.alias,
            "enabled": True,
            "attributes": {KIND_ATTRIBUTE: [kind], "siret": [registration.siret]},
        }


class Organizations(DependencyProvider):  # type: ignore[misc]
    """Injects the `RealmOrganizations`."""

    def setup(self) -> None:
        self._organizations = KeycloakOrganizations(load(RealmSettings), load(ClientSettings))

    def get_dependency(self, worker_ctx: WorkerContext) -> RealmOrganizations:
        return self._organizations
