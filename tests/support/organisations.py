"""Organisations for tests: their numbers, and people who act at the gateway."""

import secrets
import uuid
from typing import Any

import httpx

from services.identity.domain.organisation import luhn
from tests.support.polling import eventually
from tests.support.realm import Person, Realm

PATH = "/v1/organisations"
ADMINISTRATION, COMPANY = "ORGANISATION_KIND_ADMINISTRATION", "ORGANISATION_KIND_COMPANY"
AGENT, MANAGER = "MEMBER_ROLE_AGENT", "MEMBER_ROLE_MANAGER"


def new_siret() -> str:
    """A number that is right, and that nothing says is anybody's."""
    siren = _checked(f"{secrets.randbelow(10**8):08}")
    return _checked(f"{siren}{secrets.randbelow(10**4):04}")


def _checked(digits: str) -> str:
    return next(f"{digits}{last}" for last in range(10) if luhn(f"{digits}{last}"))


class Side:
    """Somebody at the gateway."""

    def __init__(self, gateway: httpx.Client, token: str, account_id: str = "") -> None:
        self._gateway, self.account_id = gateway, account_id
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str, **parameters: Any) -> httpx.Response:
        return self._gateway.get(path, params=parameters, headers=self._headers)

    def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        return self._gateway.post(path, json=body or {}, headers=self._headers)

    def put(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self._gateway.put(path, json=body, headers=self._headers)

    def delete(self, path: str) -> httpx.Response:
        return self._gateway.delete(path, headers=self._headers)

    def creates(self, kind: str = ADMINISTRATION, **changed: Any) -> httpx.Response:
        body = {
            "kind": kind,
            "alias": f"essai-{uuid.uuid4().hex[:12]}",
            "name": "Ville d’Essai",
            "siret": new_siret(),
        }
        return self.post(PATH, body | changed)

    def created(self, kind: str = ADMINISTRATION) -> dict[str, Any]:
        answer = self.creates(kind)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["organisation"])

    def sets(self, organisation: dict[str, Any], account_id: str, role: str) -> httpx.Response:
        return self.put(f"{where(organisation)}/members/{account_id}", {"role": role})

    def memberships(self) -> list[dict[str, Any]]:
        return list(self.get("/v1/me/organisations").json().get("memberships", []))


def where(organisation: dict[str, Any]) -> str:
    return f"{PATH}/{organisation['organisationId']}"


def known_to_realm(side: Side) -> None:
    """Waits until the realm knows every membership of somebody."""
    eventually(
        lambda: (found := side.memberships()) and all(each["inRealm"] for each in found),
        what="the realm to know the memberships",
    )


def agent(
    gateway: httpx.Client, realm: Realm, admin: Side, organisation: dict[str, Any], person: Person
) -> Side:
    """A person who is made an agent of an organisation, with a token that says so."""
    made = admin.sets(organisation, person.account_id, AGENT)
    assert made.status_code == 200, made.text
    known_to_realm(Side(gateway, realm.token_of(person)))
    return Side(gateway, realm.fresh_token(person), person.account_id)
