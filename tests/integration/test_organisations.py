"""Organisations on real components: made, joined, left; invitations by mail; tokens that say so."""

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from backbone.settings import RealmSettings
from backbone.tokens import TokenVerifier
from tests.support import vault
from tests.support.kafka import internal_options, once, tap
from tests.support.mailbox import Mailbox
from tests.support.organisations import (
    AGENT,
    COMPANY,
    MANAGER,
    Side,
    agent,
    known_to_realm,
    new_siret,
    where,
)
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client
from tests.support.tables import Tables


@pytest.fixture
def admin(gateway: httpx.Client, realm: Realm) -> Side:
    return Side(gateway, realm.token("admin"))


@pytest.fixture
def side(gateway: httpx.Client, person: Person, realm: Realm) -> Side:
    """`person`, signed in as surely as a manager's acts ask for."""
    return Side(gateway, realm.token_of(person, substantial=True), person.account_id)


@pytest.fixture
def other(gateway: httpx.Client, realm: Realm) -> Iterator[Side]:
    with realm.person() as created:
        yield Side(gateway, realm.token_of(created, substantial=True), created.account_id)


@pytest.fixture
def managed(admin: Side, side: Side) -> dict[str, Any]:
    """A company that `side` manages."""
    made = admin.created(COMPANY)
    assert admin.sets(made, side.account_id, MANAGER).status_code == 200
    return made


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["reason"]


def caller(stack: dict[str, Any], token: str) -> Any:
    return TokenVerifier(RealmSettings(issuer=stack["issuer"])).verify(token)


def test_an_administration_is_what_the_tokens_of_its_members_say(
    gateway: httpx.Client,
    admin: Side,
    side: Side,
    person: Person,
    realm: Realm,
    stack: dict[str, Any],
) -> None:
    made = admin.created()
    assert admin.sets(made, person.account_id, AGENT).status_code == 200
    known_to_realm(side)
    said = caller(stack, realm.fresh_token(person))
    assert said.administration == made["alias"]
    assert "agent" in said.roles

    assert admin.delete(f"{where(made)}/members/{person.account_id}").status_code == 200
    eventually(lambda: "agent" not in caller(stack, realm.fresh_token(person)).roles)
    assert caller(stack, realm.fresh_token(person)).administration == ""
    eventually(lambda: Side(gateway, realm.fresh_token(person)).get("/v1/me").is_success)
    assert Side(gateway, realm.fresh_token(person)).memberships() == []


def test_a_company_makes_nobody_an_agent(
    side: Side, managed: dict[str, Any], person: Person, realm: Realm, stack: dict[str, Any]
) -> None:
    known_to_realm(side)
    said = caller(stack, realm.fresh_token(person))
    assert (said.administration, "agent" in said.roles) == ("", False)


def test_an_agent_reads_what_is_shared_with_their_administration(
    gateway: httpx.Client,
    documents: Client,
    admin: Side,
    side: Side,
    token: str,
    realm: Realm,
) -> None:
    made = admin.created()
    document = vault.deposit(documents, token, vault.unique_bytes())
    path = f"/v1/documents/{document.document_id}"
    with realm.person() as created:
        acting = agent(gateway, realm, admin, made, created)
        assert acting.get(path).status_code == 404
        share = {
            "administration": made["alias"],
            "purpose": "Dossier",
            "expireTime": "2999-01-01T00:00:00Z",
        }
        assert side.post(f"{path}/shares", share).status_code == 200
        assert acting.get(path).status_code == 200


def test_the_same_again_is_the_same_and_another_is_refused(admin: Side) -> None:
    body = {"alias": f"essai-{uuid.uuid4().hex[:12]}", "siret": new_siret()}
    first, again = admin.creates(**body), admin.creates(**body)
    assert first.json() == again.json()
    for change in ({"siret": new_siret()}, {"alias": f"{body['alias']}-2"}, {"name": "Autre"}):
        assert refused(admin.creates(**(body | change))) == (409, "ORGANISATION_EXISTS")


def test_a_siret_that_is_mistyped_is_refused_by_its_field(admin: Side) -> None:
    answer = admin.creates(siret="73282932000075")
    assert answer.status_code == 400
    assert [(e["field"], e["reason"]) for e in answer.json()["errors"]] == [("siret", "SIRET")]


def test_one_that_the_realm_had_is_taken_over_with_its_members(admin: Side, realm: Realm) -> None:
    alias = f"console-{uuid.uuid4().hex[:8]}"
    with realm.person() as created:
        realm.organization(alias, created)
        made = admin.creates(alias=alias).json()["organisation"]

        def taken() -> list[dict[str, Any]]:
            found = admin.get(f"{where(made)}/members").json().get("members", [])
            return [each for each in found if each["inRealm"]]

        members = eventually(taken)
        assert [each["accountId"] for each in members] == [created.account_id]


def test_companies_are_their_members_affair_and_administrations_everybodys(
    admin: Side, side: Side, other: Side, managed: dict[str, Any]
) -> None:
    office = admin.created()
    assert side.get(where(managed)).json()["organisation"] == managed
    assert refused(other.get(where(managed))) == (404, "ORGANISATION_NOT_FOUND")
    assert refused(other.get(f"{where(managed)}/members")) == (404, "ORGANISATION_NOT_FOUND")
    assert refused(other.get(f"{where(office)}/members")) == (403, "NOT_A_MANAGER")
    for who, words, found in (
        (side, managed["siret"], True),
        (other, managed["siret"], False),
        (admin, managed["alias"], True),
        (other, office["alias"], True),
    ):
        listed = who.get("/v1/organisations", query=words).json().get("organisations", [])
        assert bool(listed) == found
    by_name = other.get("/v1/organisations", query="ville D’ESSAI", pageSize=1).json()
    assert len(by_name["organisations"]) == 1
    assert other.get("/v1/organisations", query="100%").json().get("organisations", []) == []


def test_a_manager_decides_once_surely_recognised(
    gateway: httpx.Client, side: Side, managed: dict[str, Any], token: str
) -> None:
    unsure = Side(gateway, token, side.account_id)
    assert unsure.get(f"{where(managed)}/members").status_code == 200
    asked = {"email": "quelquun@courriel.example", "role": AGENT}
    for answer in (
        unsure.sets(managed, side.account_id, MANAGER),
        unsure.post(f"{where(managed)}/invitations", asked),
    ):
        assert refused(answer) == (401, "INSUFFICIENT_USER_AUTHENTICATION")
        assert answer.json()["acr_values"] == "substantial"


def test_managers_decide_and_the_last_one_stays(
    side: Side, other: Side, admin: Side, managed: dict[str, Any]
) -> None:
    member = f"{where(managed)}/members"
    # A manager invites; an administrator adds.
    assert refused(side.sets(managed, other.account_id, AGENT)) == (404, "MEMBER_NOT_FOUND")
    assert admin.sets(managed, other.account_id, AGENT).status_code == 200
    assert refused(other.sets(managed, other.account_id, MANAGER)) == (403, "NOT_A_MANAGER")
    assert refused(other.delete(f"{member}/{side.account_id}")) == (403, "NOT_A_MANAGER")
    assert refused(side.sets(managed, side.account_id, AGENT)) == (409, "LAST_MANAGER")
    assert refused(side.delete(f"{member}/{side.account_id}")) == (409, "LAST_MANAGER")

    assert side.sets(managed, other.account_id, MANAGER).status_code == 200
    for who in (side, other):
        assert who.delete(f"{member}/{side.account_id}").status_code == 200
    assert side.get(where(managed)).status_code == 404
    listed = other.get(member).json()["members"]
    assert [(each["accountId"], each["role"]) for each in listed] == [(other.account_id, MANAGER)]


def test_an_invitation_is_mailed_and_accepted_by_its_address_alone(
    gateway: httpx.Client,
    side: Side,
    other: Side,
    managed: dict[str, Any],
    realm: Realm,
    mailbox: Mailbox,
    database: Tables,
) -> None:
    path = f"{where(managed)}/invitations"
    with realm.person() as created:
        asked = {"email": f" {created.email.upper()}".strip(), "role": MANAGER}
        invitation = side.post(path, asked).json()["invitation"]
        assert side.post(path, asked).json()["invitation"] == invitation
        assert refused(side.post(path, asked | {"role": AGENT})) == (409, "INVITATION_EXISTS")
        mail = mailbox.wait(created.email, f"Vous êtes invité(e) à rejoindre {managed['name']}")
        name = invitation["invitationId"]
        assert name in mail.get_content()

        accept = f"/v1/me/invitations/{name}/accept"
        assert refused(other.post(accept)) == (404, "INVITATION_NOT_FOUND")
        invited = Side(gateway, realm.token_of(created), created.account_id)
        (received,) = invited.get("/v1/me/invitations").json()["invitations"]
        assert received == {"invitation": invitation, "organisation": managed}
        joined = invited.post(accept).json()["membership"]
        assert joined["role"] == MANAGER
        assert invited.post(accept).status_code == 200
        assert invited.get("/v1/me/invitations").json().get("invitations", []) == []
        assert invited.get(f"{where(managed)}/members").status_code == 200
        kept = side.get(path).json()["invitations"][0]
        assert (kept["state"], kept["email"]) == ("INVITATION_STATE_ACCEPTED", "")
        query = "SELECT 1 FROM identity.invitations WHERE email = %s"
        assert database.count(query, created.email) == 0


def test_a_revoked_or_expired_invitation_is_not_accepted(
    gateway: httpx.Client, side: Side, managed: dict[str, Any], realm: Realm, database: Tables
) -> None:
    path = f"{where(managed)}/invitations"
    with realm.person() as created:
        invited = Side(gateway, realm.token_of(created))
        asked = {"email": created.email, "role": AGENT}
        first = side.post(path, asked).json()["invitation"]["invitationId"]
        for _ in range(2):
            revoked = side.post(f"{path}/{first}/revoke").json()["invitation"]
            assert (revoked["state"], revoked["email"]) == ("INVITATION_STATE_REVOKED", "")
        assert refused(invited.post(f"/v1/me/invitations/{first}/accept"))[0] == 404

        second = side.post(path, asked).json()["invitation"]["invitationId"]
        expire = "UPDATE identity.invitations SET expire_time = now() WHERE invitation_id = %s"
        database.rows(expire, second)
        late = invited.post(f"/v1/me/invitations/{second}/accept")
        assert refused(late) == (409, "INVITATION_ENDED")
        assert refused(side.post(f"{path}/{second}/revoke")) == (409, "INVITATION_ENDED")


def test_what_a_crash_left_between_database_and_realm_is_made_up_for(
    admin: Side, side: Side, managed: dict[str, Any], database: Tables, realm: Realm
) -> None:
    known_to_realm(side)
    # As after a crash that came once the realm had done it and before that was recorded.
    key = managed["organisationId"]
    database.rows(
        "UPDATE identity.organisations SET realm_id = NULL WHERE organisation_id = %s", key
    )
    database.rows("UPDATE identity.memberships SET told = false WHERE organisation_id = %s", key)
    known_to_realm(side)
    assert len(realm.organizations(managed["alias"])) == 1
    assert [each["id"] for each in realm.members(managed["alias"])] == [side.account_id]
    # And before the realm had done anything: it is removed there behind our back.
    realm.leave(managed["alias"], side.account_id)
    database.rows("UPDATE identity.memberships SET told = false WHERE organisation_id = %s", key)
    known_to_realm(side)
    assert [each["id"] for each in realm.members(managed["alias"])] == [side.account_id]


def test_the_events_name_accounts_and_no_address(
    side: Side, managed: dict[str, Any], stack: dict[str, Any]
) -> None:
    topic = "administration.identity.v1.Invitation"
    with tap(internal_options(stack), topic) as records:
        asked = {"email": "quelquun@courriel.example", "role": AGENT}
        made = side.post(f"{where(managed)}/invitations", asked).json()["invitation"]
        records.until(lambda r: r.key == made["invitationId"].encode(), 1)
        found = once(r for r in records.drain() if r.key == made["invitationId"].encode())
    assert len(found) == 1
    assert "courriel" not in str(found)
