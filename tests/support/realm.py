"""Tokens and people of the development realm."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
from joserfc.jwk import RSAKey
from keycloak import KeycloakAdmin
from keycloak.exceptions import KeycloakDeleteError

from tests.support.dpop import Prover
from tests.support.polling import eventually

# Of the 300 s that a token lives.
REUSE_SECONDS = 120.0
# The realm's policy of one-time codes, as a credential says it.
TOTP = {"subType": "totp", "digits": 6, "counter": 0, "period": 30, "algorithm": "HmacSHA1"}


@dataclass(frozen=True)
class Person:
    """Someone with an account in the realm."""

    account_id: str
    username: str
    password: str
    name: str
    email: str


class Realm:
    """The realm of a running stack."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._stack = stack
        self._tokens: dict[tuple[str, ...], tuple[float, str]] = {}
        self._http = httpx.Client(base_url=f"{stack['issuer']}/protocol/openid-connect", timeout=60)
        keycloak = stack["keycloak"]
        self._admin = KeycloakAdmin(
            server_url=keycloak["url"],
            username=keycloak["admin_username"],
            password=keycloak["admin_password"],
            realm_name=keycloak["realm"],
            user_realm_name="master",
        )

    def close(self) -> None:
        self._http.close()

    def token(self, role: str, *, substantial: bool = False) -> str:
        """A token of the account `citizen`, `stranger`, `agent` or `admin`: of these two at
        level substantial in any case, as their acts ask for it.
        """
        account = self._stack["accounts"][role]
        substantial = substantial or role in ("agent", "admin")
        return self._password(account["username"], account["password"], substantial=substantial)

    def token_of(self, person: Person, *, substantial: bool = False) -> str:
        return self._password(person.username, person.password, substantial=substantial)

    def client_token(self, client: str) -> str:
        """A token of a client that acts for itself: a partner, or a service."""
        known = self._stack["clients"][client]
        return self._cached(
            grant_type="client_credentials",
            client_id=known["client_id"],
            client_secret=known["client_secret"],
        )

    def short_lived_token(self, person: Person) -> str:
        """A token that lives one second."""
        return self._ask(
            grant_type="password",
            client_id="development-expired",
            username=person.username,
            password=person.password,
        )

    def fresh_token(self, person: Person) -> str:
        """A token that says what the realm knows now."""
        return self._ask(
            grant_type="password",
            client_id="development",
            username=person.username,
            password=person.password,
        )

    def sign_in(self, person: Person, client: str = "development") -> dict[str, Any] | None:
        """The tokens of a new session; None when the realm refuses."""
        form = {"grant_type": "password", "client_id": client}
        answer = self._http.post(
            "/token", data={**form, "username": person.username, "password": person.password}
        )
        return dict(answer.json()) if answer.status_code == 200 else None

    def refresh(self, refresh_token: str) -> int:
        """The status that the realm answers a refresh token with."""
        form = {"grant_type": "refresh_token", "client_id": "development"}
        return self._http.post("/token", data={**form, "refresh_token": refresh_token}).status_code

    def sign_out_in_the_console(self, person: Person) -> None:
        """An administrator of the realm ends all of a person's sessions there."""
        self._admin.user_logout(person.account_id)

    def disable_in_the_console(self, person: Person) -> None:
        self._change(person, enabled=False)

    @contextmanager
    def client(self) -> Iterator[str]:
        """A client of its own, that signs people in with their passwords."""
        client_id = f"essai-{uuid.uuid4().hex[:12]}"
        key = self._admin.create_client(
            {
                "clientId": client_id,
                "publicClient": True,
                "standardFlowEnabled": False,
                "directAccessGrantsEnabled": True,
                "attributes": {"access.token.header.type.rfc9068": "true"},
            }
        )
        try:
            yield client_id
        finally:
            self._admin.delete_client(key)

    def bound_token(self, person: Person, prover: Prover) -> str:
        """A token that is bound to the key of `prover` (RFC 9449, section 5)."""
        url = f"{self._stack['issuer']}/protocol/openid-connect/token"
        form = {"client_id": "development", "grant_type": "password"}
        return self._ask(
            "access_token",
            {"DPoP": prover.proof("POST", url)},
            username=person.username,
            password=person.password,
            **form,
        )

    def refresh_token(self, person: Person) -> str:
        """What gets new access tokens from the realm: never for services."""
        return self._ask(
            "refresh_token",
            grant_type="password",
            client_id="development",
            username=person.username,
            password=person.password,
        )

    def public_keys(self) -> dict[str, dict[str, Any]]:
        """The keys that the realm publishes, by `kid`."""
        return {key["kid"]: key for key in self._http.get("/certs").json()["keys"]}

    @contextmanager
    def added_key(self) -> Iterator[RSAKey]:
        """A key that the realm publishes beside its own, and that the test can sign with."""
        key = RSAKey.generate_key(2048)
        component = {
            "name": f"essai-{uuid.uuid4().hex[:12]}",
            "providerId": "rsa",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {
                "privateKey": [key.as_pem(private=True).decode()],
                # Below the realm's own keys: it publishes this one, and never signs with it.
                "priority": ["-100"],
                "enabled": ["true"],
                "active": ["true"],
                "algorithm": ["RS256"],
            },
        }
        before = self.public_keys().keys()
        identifier = self._admin.create_component(component)
        try:
            (kid,) = self.public_keys().keys() - before
            yield RSAKey.import_key({**key.as_dict(private=True), "kid": kid})
        finally:
            self._admin.delete_component(identifier)

    def id_token(self, person: Person) -> str:
        """What OpenID Connect gives beside the access token: for the client, not for services."""
        return self._ask(
            "id_token",
            grant_type="password",
            client_id="development",
            scope="openid",
            username=person.username,
            password=person.password,
        )

    def organization(self, alias: str, member: Person) -> None:
        """Makes an organization in the realm past the services, as its console does."""
        made = self._admin.create_organization({"name": alias, "alias": alias, "enabled": True})
        self._admin.organization_user_add(member.account_id, str(made))

    def organizations(self, alias: str) -> list[dict[str, Any]]:
        """The realm's organizations of an alias: one or none."""
        return [
            found
            for found in self._admin.get_organizations(query={"max": 1000, "first": 0})
            if found["alias"] == alias
        ]

    def members(self, alias: str) -> list[dict[str, Any]]:
        """The accounts that the realm has as members of an organization."""
        (found,) = self.organizations(alias)
        return list(self._admin.get_organization_members(found["id"]))

    def leave(self, alias: str, account_id: str) -> None:
        """Ends a membership in the realm past the services."""
        (found,) = self.organizations(alias)
        self._admin.organization_user_remove(account_id, found["id"])

    def appoint(self, person: Person, role: str) -> None:
        """Gives a person a role of the realm."""
        available = self._admin.get_available_realm_roles_of_user(person.account_id)
        wanted = [each for each in available if each["name"] == role]
        self._admin.assign_realm_roles(person.account_id, wanted)

    def disable_organization(self, realm_id: str) -> None:
        """An administrator of the realm does so in its console."""
        known = self._admin.get_organization(realm_id)
        self._admin.update_organization(realm_id, {**known, "enabled": False})

    def is_agent(self, account_id: str) -> bool:
        """Whether the realm gives an account the role of agents."""
        roles = self._admin.get_realm_roles_of_user(account_id)
        return any(role["name"] == "agent" for role in roles)

    def subject(self, role: str) -> str:
        """The account identifier of a development account."""
        username = self._stack["accounts"][role]["username"]
        return str(self._admin.get_user_id(username))

    def rename(self, person: Person, first_name: str, last_name: str) -> None:
        """The person takes another name."""
        self._change(person, firstName=first_name, lastName=last_name)

    def doubt_address(self, person: Person) -> None:
        """The person's address counts as verified no more; tokens they have stay good."""
        self._change(person, emailVerified=False)

    def _change(self, person: Person, **values: Any) -> None:
        user = self._admin.get_user(person.account_id)
        self._admin.update_user(person.account_id, {**user, **values})

    @contextmanager
    def person(
        self, *, email_verified: bool = True, locale: str = "fr", totp: str = ""
    ) -> Iterator[Person]:
        """A citizen whom nobody has seen yet; forgotten by the realm afterwards. `totp`: the secret
        of the one-time codes that they have.
        """
        mark = uuid.uuid4().hex[:12]
        username, password = f"essai-{mark}", uuid.uuid4().hex
        email = f"{username}@courriel.example"
        credentials: list[dict[str, Any]] = [
            {"type": "password", "value": password, "temporary": False}
        ]
        if totp:
            credentials.append(
                {
                    "type": "otp",
                    "secretData": json.dumps({"value": totp}),
                    "credentialData": json.dumps(TOTP),
                }
            )
        account_id = self._admin.create_user(
            {
                "username": username,
                "email": email,
                "emailVerified": email_verified,
                "firstName": "Éloïse",
                "lastName": f"Essai-{mark}",
                "enabled": True,
                "attributes": {"locale": [locale]},
                "credentials": credentials,
            }
        )
        try:
            yield Person(str(account_id), username, password, f"Éloïse Essai-{mark}", email)
        finally:
            eventually(lambda: self._deleted(str(account_id)), what="the realm to forget a person")

    def _deleted(self, account_id: str) -> bool:
        """False while the realm is changing the same account for somebody else."""
        busy = (HTTPStatus.CONFLICT, HTTPStatus.INTERNAL_SERVER_ERROR)
        try:
            self._admin.delete_user(account_id)
        except KeycloakDeleteError as error:
            # A test may have had it erased.
            if error.response_code not in (*busy, HTTPStatus.NOT_FOUND):
                raise
            return bool(error.response_code == HTTPStatus.NOT_FOUND)
        return True

    def _password(self, username: str, password: str, *, substantial: bool) -> str:
        return self._cached(
            grant_type="password",
            client_id="development-substantial" if substantial else "development",
            username=username,
            password=password,
        )

    def _cached(self, **form: str) -> str:
        key = tuple(form.values())
        renew_at, token = self._tokens.get(key, (0.0, ""))
        if time.monotonic() > renew_at:
            token = self._ask(**form)
            self._tokens[key] = time.monotonic() + REUSE_SECONDS, token
        return token

    def _ask(
        self,
        kind: str = "access_token",
        headers: dict[str, str] | None = None,
        /,
        **form: str,
    ) -> str:
        answer = self._http.post("/token", data=form, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()[kind])
