"""Partners' clients of the realm: Keycloak's admin interface behind a few methods.

A partner is a client whose tokens carry a hardcoded claim `administration`. The realm keeps all
that is known of it: there is no table of partners beside.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from keycloak.exceptions import KeycloakAuthenticationError, KeycloakConnectionError, KeycloakError

from backbone.partners.partner import Partner, PartnerError, State
from backbone.partners.settings import KeycloakAdminSettings
from backbone.realm_admin import realm_admin
from backbone.settings import RealmSettings

ROLE = "partner"
CLAIM = "administration"
STATE = "backbone.partner.state"
LAST_GRANT = "backbone.partner.last.grant"
LIFESPAN = "access.token.lifespan"
TIMEOUT_SECONDS = 10
CONFLICT = 409
SECRET_BYTES = 32


class Registry(Protocol):
    """Where partners are registered. Every method may raise PartnerError: it does not answer."""

    def all(self) -> list[Partner]:
        """Every partner, by client id."""

    def find(self, client_id: str) -> Partner | None: ...

    def create(self, partner: Partner) -> str:
        """Registers a partner, whole or not at all, and returns its secret.

        Raises:
            PartnerError: a client has that id already.
        """

    def update(self, partner: Partner) -> None:
        """Keeps its state and last grant. Revoked, it gets no token; ready, it does again."""

    def renew_secret(self, client_id: str) -> str:
        """A new secret; the old one is refused from now on."""

    def delete(self, client_id: str) -> None:
        """Forgets it; one that is not there is no error."""


class KeycloakRegistry:
    """The registry in Keycloak. Needs the role ``manage-clients`` of ``realm-management``."""

    def __init__(self, realm: RealmSettings, client: KeycloakAdminSettings) -> None:
        self._client = client.client_id
        self._admin = realm_admin(
            realm, client.client_id, client.client_secret.get_secret_value(), TIMEOUT_SECONDS
        )

    def all(self) -> list[Partner]:
        with self._telling():
            clients = self._admin.get_clients()
        found = [partner for client in clients if (partner := _partner(client))]
        return sorted(found, key=lambda partner: partner.client_id)

    def find(self, client_id: str) -> Partner | None:
        with self._telling():
            key = self._admin.get_client_id(client_id)
            return _partner(self._admin.get_client(key)) if key else None

    def create(self, partner: Partner) -> str:
        # One request, which Keycloak does whole or not at all.
        secret = secrets.token_urlsafe(SECRET_BYTES)
        with self._telling(partner.client_id):
            self._admin.create_client({**_representation(partner), "secret": secret})
        return secret

    def update(self, partner: Partner) -> None:
        changes = {
            "clientId": partner.client_id,
            "enabled": partner.state is not State.REVOKED,
            "attributes": {STATE: str(partner.state), LAST_GRANT: partner.last_grant},
        }
        with self._telling():
            self._admin.update_client(self._key(partner.client_id), changes)

    def renew_secret(self, client_id: str) -> str:
        with self._telling():
            return str(self._admin.generate_client_secrets(self._key(client_id))["value"])

    def delete(self, client_id: str) -> None:
        with self._telling():
            if key := self._admin.get_client_id(client_id):
                self._admin.delete_client(key)

    def _key(self, client_id: str) -> str:
        key = self._admin.get_client_id(client_id)
        if key is None:
            raise PartnerError(f"the realm has no client {client_id}")
        return str(key)

    @contextmanager
    def _telling(self, creating: str = "") -> Iterator[None]:
        """Keycloak's errors in the operator's words: never its answer, which may hold a secret."""
        try:
            yield
        except KeycloakConnectionError as error:
            raise PartnerError("Keycloak does not answer: check BACKBONE_ISSUER") from error
        except KeycloakAuthenticationError as error:
            raise PartnerError(
                f"Keycloak refuses the client {self._client}:"
                " check BACKBONE_KEYCLOAK_ADMIN_CLIENT_ID and _CLIENT_SECRET"
            ) from error
        except KeycloakError as error:
            if creating and error.response_code == CONFLICT:
                raise PartnerError(
                    f"the realm has a client {creating} already: choose another alias"
                ) from error
            raise PartnerError(
                f"Keycloak answered {error.response_code}: 403 means that {self._client} lacks"
                " the role manage-clients of realm-management; else see Keycloak's log"
            ) from error


def _representation(partner: Partner) -> dict[str, Any]:
    """A confidential client with client credentials (RFC 6749, section 4.4), and nothing else."""
    return {
        "clientId": partner.client_id,
        "name": partner.administration,
        "description": "A partner administration; managed by `backbone partner`",
        "protocol": "openid-connect",
        "publicClient": False,
        "clientAuthenticatorType": "client-secret",
        "serviceAccountsEnabled": True,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        # Its account gets the realm's default role, citizen, which stays out of the tokens so;
        # their one role is the mapper's, and the tool needs no right over anybody's account.
        "fullScopeAllowed": False,
        "defaultClientScopes": ["basic", "roles", "backbone"],
        "optionalClientScopes": [],
        "attributes": {
            "access.token.header.type.rfc9068": "true",
            LIFESPAN: str(partner.token_seconds),
            STATE: str(partner.state),
            LAST_GRANT: partner.last_grant,
        },
        "protocolMappers": [
            {
                "name": CLAIM,
                "protocol": "openid-connect",
                "protocolMapper": "oidc-hardcoded-claim-mapper",
                "config": {
                    "claim.name": CLAIM,
                    "claim.value": partner.administration,
                    "jsonType.label": "String",
                    "access.token.claim": "true",
                    "introspection.token.claim": "true",
                },
            },
            {
                "name": f"role {ROLE}",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-hardcoded-role-mapper",
                "config": {"role": ROLE},
            },
        ],
    }


def _partner(client: dict[str, Any]) -> Partner | None:
    for mapper in client.get("protocolMappers", ()):
        config = mapper.get("config", {})
        if config.get("claim.name") == CLAIM and "claim.value" in config:
            attributes = client.get("attributes", {})
            adding = attributes.get(STATE) == State.ADDING
            state = State.ADDING if adding else State.READY
            return Partner(
                client_id=client["clientId"],
                administration=config["claim.value"],
                state=state if client.get("enabled") else State.REVOKED,
                token_seconds=int(attributes.get(LIFESPAN, 0)),
                last_grant=attributes.get(LAST_GRANT, ""),
            )
    return None
