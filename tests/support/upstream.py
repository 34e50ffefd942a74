"""A second realm that plays FranceConnect: its claims, its levels, a `sub` for each client."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.realm import Person
from tests.support.scratch_realm import admin, forget

CLIENT, SECRET = "administration", "secret-d-essai-du-fournisseur"
CLAIMS = {
    "given_name": "Angela Claire Louise",
    "family_name": "DUBOIS",
    "birthdate": "1962-08-24",
    "birthplace": "75107",
    "birthcountry": "99100",
    "gender": "female",
}


def _mapper(claim: str, kind: str, **config: str) -> dict[str, Any]:
    everywhere = {"id.token.claim": "true", "userinfo.token.claim": "true"}
    return {
        "name": claim,
        "protocol": "openid-connect",
        "protocolMapper": kind,
        "config": {"claim.name": claim, "jsonType.label": "String", **everywhere, **config},
    }


def _attribute(claim: str, attribute: str = "") -> dict[str, Any]:
    kind = "oidc-usermodel-attribute-mapper"
    return _mapper(claim, kind, **{"user.attribute": attribute or claim})


def _realm(name: str, redirect_uri: str) -> dict[str, Any]:
    scopes = {claim: [_attribute(claim)] for claim in CLAIMS} | {
        "given_name": [_attribute("given_name", "firstName")],
        "family_name": [_attribute("family_name", "lastName")],
        "email": [_attribute("email")],
    }
    return {
        "realm": name,
        "enabled": True,
        "components": {
            "org.keycloak.userprofile.UserProfileProvider": [
                {
                    "providerId": "declarative-user-profile",
                    "config": {
                        "kc.user.profile.config": [
                            '{"attributes": [{"name": "username"}, {"name": "email"}],'
                            ' "unmanagedAttributePolicy": "ENABLED"}'
                        ]
                    },
                }
            ]
        },
        "clientScopes": [
            {"name": scope, "protocol": "openid-connect", "protocolMappers": mappers}
            for scope, mappers in scopes.items()
        ],
        "clients": [
            {
                "clientId": CLIENT,
                "secret": SECRET,
                "standardFlowEnabled": True,
                "redirectUris": [redirect_uri],
                "attributes": {"pkce.code.challenge.method": "S256"},
                "defaultClientScopes": [],
                "optionalClientScopes": list(scopes),
                "protocolMappers": [
                    {
                        "name": "sub of this service alone",
                        "protocol": "openid-connect",
                        "protocolMapper": "oidc-sha256-pairwise-sub-mapper",
                        "config": {"pairwiseSubAlgorithmSalt": "sel"},
                    },
                    # Told in the ID token alone, as FranceConnect does.
                    _mapper(
                        "acr",
                        "oidc-usermodel-attribute-mapper",
                        **{"user.attribute": "acr", "userinfo.token.claim": "false"},
                    ),
                ],
            }
        ],
    }


class Upstream:
    """The realm, and the people whom it knows."""

    def __init__(self, stack: dict[str, Any], name: str) -> None:
        self.issuer = f"{stack['keycloak']['url']}/realms/{name}"
        self._admin = admin({**stack, "keycloak": {**stack["keycloak"], "realm": name}})

    def person(self, acr: str) -> Person:
        """Somebody whom it identified at the level `acr`."""
        mark = uuid.uuid4().hex[:12]
        username, password = f"fc-{mark}", uuid.uuid4().hex
        named = ("given_name", "family_name")
        account = self._admin.create_user(
            {
                "username": username,
                "email": f"{username}@courriel.example",
                "firstName": CLAIMS["given_name"],
                "lastName": CLAIMS["family_name"],
                "enabled": True,
                "attributes": {k: v for k, v in CLAIMS.items() if k not in named} | {"acr": acr},
                "credentials": [{"type": "password", "value": password, "temporary": False}],
            }
        )
        return Person(str(account), username, password, "", f"{username}@courriel.example")


def variables(issuer: str) -> dict[str, str]:
    """What the layer `upstream` asks for."""
    protocol = f"{issuer}/protocol/openid-connect"
    return {
        "BACKBONE_UPSTREAM_NAME": "FranceConnect",
        "BACKBONE_UPSTREAM_ISSUER": issuer,
        "BACKBONE_UPSTREAM_AUTHORIZATION_URL": f"{protocol}/auth",
        "BACKBONE_UPSTREAM_TOKEN_URL": f"{protocol}/token",
        "BACKBONE_UPSTREAM_USERINFO_URL": f"{protocol}/userinfo",
        "BACKBONE_UPSTREAM_JWKS_URL": f"{protocol}/certs",
        "BACKBONE_UPSTREAM_LOGOUT_URL": f"{protocol}/logout",
        "BACKBONE_UPSTREAM_CLIENT_ID": CLIENT,
        "BACKBONE_UPSTREAM_CLIENT_SECRET": SECRET,
    }


@contextmanager
def upstream(stack: dict[str, Any], redirect_uri: str, name: str) -> Iterator[Upstream]:
    """The realm `name`, known to one client; gone afterwards."""
    admin(stack).create_realm(_realm(name, redirect_uri))
    try:
        yield Upstream(stack, name)
    finally:
        forget(stack, name)
