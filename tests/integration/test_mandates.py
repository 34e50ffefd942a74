"""Mandates on real components: offered, accepted, checked, ended; through gRPC and the gateway."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from administration.identity.v1 import mandates_pb2

from tests.support import organisations
from tests.support.kafka import header, internal_options, once, tap
from tests.support.realm import Person, Realm
from tests.support.rpc import Client

TOPIC = "administration.identity.v1.Mandate"
PATH = "/v1/me/mandates"


class Side:
    """A person at the gateway."""

    def __init__(self, gateway: httpx.Client, person: Person, token: str) -> None:
        self._gateway, self.person = gateway, person
        self._headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str = PATH, **parameters: Any) -> httpx.Response:
        return self._gateway.get(path, params=parameters, headers=self._headers)

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        return self._gateway.post(path, json=body, headers=self._headers)

    def offers(self, other: "Side", **changed: Any) -> httpx.Response:
        body = {
            "representativeId": other.person.account_id,
            "scopes": ["documents.read"],
            "expireTime": "2999-01-01T00:00:00Z",
        }
        return self.post(PATH, body | changed)

    def offered(self, other: "Side", **changed: Any) -> str:
        answer = self.offers(other, **changed)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["mandate"]["mandateId"])

    def does(self, step: str, mandate_id: str) -> httpx.Response:
        return self.post(f"{PATH}/{mandate_id}/{step}", {})


@pytest.fixture
def principal(gateway: httpx.Client, person: Person, token: str) -> Side:
    return Side(gateway, person, token)


@pytest.fixture
def representative(gateway: httpx.Client, realm: Realm) -> Iterator[Side]:
    with realm.person() as created:
        yield Side(gateway, created, realm.token_of(created))


def granted(
    identity: Client, realm: Realm, acting: Side, for_whom: Side, scope: str = "documents.read"
) -> str:
    """The mandate by which one may act for the other; empty when none lets them."""
    request = mandates_pb2.CheckMandateRequest(
        representative_id=acting.person.account_id,
        principal_id=for_whom.person.account_id,
        scope=scope,
    )
    answer = identity.check_mandate(request, token=realm.client_token("documents"))
    assert answer.granted == bool(answer.mandate_id)
    return str(answer.mandate_id)


@pytest.mark.parametrize("who_ends", ["principal", "representative"])
def test_a_mandate_counts_from_its_acceptance_until_either_side_ends_it(
    identity: Client, realm: Realm, principal: Side, representative: Side, who_ends: str
) -> None:
    mandate_id = principal.offered(representative)
    assert granted(identity, realm, representative, principal) == ""
    accepted = representative.does("accept", mandate_id).json()["mandate"]
    assert accepted["state"] == "MANDATE_STATE_ACTIVE"
    assert representative.does("accept", mandate_id).json()["mandate"] == accepted
    assert granted(identity, realm, representative, principal) == mandate_id
    assert granted(identity, realm, representative, principal, "documents.write") == ""
    assert granted(identity, realm, principal, representative) == ""

    side = {"principal": principal, "representative": representative}[who_ends]
    ended = side.does("end", mandate_id).json()["mandate"]
    assert granted(identity, realm, representative, principal) == ""
    assert (ended["state"], ended["endedBy"]) == ("MANDATE_STATE_ENDED", side.person.account_id)
    assert ended["acceptTime"] == accepted["acceptTime"] < ended["endTime"]
    for either in (principal, representative):
        assert either.get(f"{PATH}/{mandate_id}").json()["mandate"] == ended
        assert either.does("end", mandate_id).json()["mandate"] == ended
    refused = representative.does("accept", mandate_id)
    assert (refused.status_code, refused.json()["reason"]) == (409, "MANDATE_ENDED")


def test_whoever_offers_a_mandate_does_not_accept_it(
    identity: Client, realm: Realm, principal: Side, representative: Side
) -> None:
    refused = principal.does("accept", principal.offered(representative))
    assert (refused.status_code, refused.json()["reason"]) == (403, "MANDATE_NOT_FOR_CALLER")
    assert granted(identity, realm, representative, principal) == ""


def test_a_mandate_does_not_count_before_its_start(
    identity: Client, realm: Realm, principal: Side, representative: Side
) -> None:
    start = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert representative.does(
        "accept", principal.offered(representative, startTime=start)
    ).is_success
    assert granted(identity, realm, representative, principal) == ""


def test_a_mandate_of_a_mandate_lets_nobody_act(
    gateway: httpx.Client, identity: Client, realm: Realm, principal: Side, representative: Side
) -> None:
    with realm.person() as created:
        third = Side(gateway, created, realm.token_of(created))
        assert representative.does("accept", principal.offered(representative)).is_success
        assert third.does("accept", representative.offered(third)).is_success
        assert granted(identity, realm, third, representative)
        assert granted(identity, realm, third, principal) == ""


def test_what_concerns_others_looks_like_what_is_not_there(
    gateway: httpx.Client, realm: Realm, principal: Side, representative: Side
) -> None:
    mandate_id = principal.offered(representative)
    problems = []
    with realm.person() as created:
        stranger = Side(gateway, created, realm.token_of(created))
        for name in (mandate_id, str(uuid.uuid4())):
            for answer in (
                stranger.get(f"{PATH}/{name}"),
                stranger.does("accept", name),
                stranger.does("end", name),
            ):
                assert answer.status_code == 404
                problem = answer.json()
                problem.pop("trace_id")
                problems.append(problem)
        assert stranger.get().json().get("mandates", []) == []
    assert all(problem == problems[0] for problem in problems)
    assert problems[0]["reason"] == "MANDATE_NOT_FOUND"


def test_both_sides_list_a_mandate_newest_first_page_by_page(
    principal: Side, representative: Side
) -> None:
    made = [principal.offered(representative) for _ in range(3)]
    for side in (principal, representative):
        first = side.get(pageSize=2).json()
        rest = side.get(pageToken=first["nextPageToken"]).json()
        listed = [item["mandateId"] for page in (first, rest) for item in page["mandates"]]
        assert listed == made[::-1]


def test_each_step_is_an_event_that_names_both_sides_once(
    principal: Side, representative: Side, stack: dict[str, Any]
) -> None:
    with tap(internal_options(stack), TOPIC) as topic:
        mandate_id = principal.offered(representative)
        for step in ("accept", "accept", "end", "end"):
            assert representative.does(step, mandate_id).is_success
        topic.until(lambda r: r.key == mandate_id.encode(), 3)
        records = once(r for r in topic.drain() if r.key == mandate_id.encode())
    assert [header(record, "ce_type").rpartition(".")[2] for record in records] == [
        "MandateOffered",
        "MandateAccepted",
        "MandateEnded",
    ]
    for record in records:
        said = json.loads(record.value)
        assert said["principalId"] == principal.person.account_id
        assert said["representativeId"] == representative.person.account_id
    assert json.loads(records[2].value)["endedBy"] == representative.person.account_id


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"representativeId": str(uuid.uuid4())}, "representativeId", "UNKNOWN"),
        ({"representativeId": "moi"}, "representativeId", "UUID"),
        ({"expireTime": "2020-01-01T00:00:00Z"}, "expireTime", "PAST"),
        ({"startTime": "2999-01-02T00:00:00Z"}, "expireTime", "REVERSED"),
        ({"scopes": []}, "scopes", "REQUIRED"),
    ],
)
def test_a_mandate_that_cannot_be_is_refused_by_its_field(
    principal: Side, representative: Side, change: dict[str, Any], field: str, reason: str
) -> None:
    answer = principal.offers(representative, **change)
    assert answer.status_code == 400
    assert [(e["field"], e["reason"]) for e in answer.json()["errors"]] == [(field, reason)]


def test_a_company_mandates_by_its_managers(
    gateway: httpx.Client, identity: Client, realm: Realm, principal: Side, representative: Side
) -> None:
    admin = organisations.Side(gateway, realm.token("admin"))
    company, office = admin.created(organisations.COMPANY), admin.created()
    key = company["organisationId"]
    refused = principal.offers(representative, organisationId=key)
    assert (refused.status_code, refused.json()["reason"]) == (404, "ORGANISATION_NOT_FOUND")
    mine = principal.person.account_id
    assert admin.sets(company, mine, organisations.AGENT).is_success
    refused = principal.offers(representative, organisationId=key)
    assert (refused.status_code, refused.json()["reason"]) == (403, "NOT_A_MANAGER")
    for made in (company, office):
        assert admin.sets(made, mine, organisations.MANAGER).is_success
    (error,) = principal.offers(representative, organisationId=office["organisationId"]).json()[
        "errors"
    ]
    assert (error["field"], error["reason"]) == ("organisationId", "NOT_A_COMPANY")

    mandate_id = principal.offered(representative, organisationId=key)
    accepted = representative.does("accept", mandate_id).json()["mandate"]
    assert (accepted["principalId"], accepted["principalKind"]) == (key, "PRINCIPAL_KIND_COMPANY")
    assert accepted["offeredBy"] == mine
    # For the company, and for nobody who manages it.
    assert granted(identity, realm, representative, principal) == ""
    request = mandates_pb2.CheckMandateRequest(
        representative_id=representative.person.account_id,
        principal_id=key,
        scope="documents.read",
    )
    token = realm.client_token("documents")
    assert identity.check_mandate(request, token=token).mandate_id == mandate_id

    with realm.person() as created:
        other = Side(gateway, created, realm.token_of(created))
        assert other.get(f"{PATH}/{mandate_id}").status_code == 404
        assert admin.sets(company, created.account_id, organisations.MANAGER).is_success
        assert mandate_id in other.get().text
        ended = other.does("end", mandate_id).json()["mandate"]
        assert ended["endedBy"] == created.account_id
    assert not identity.check_mandate(request, token=token).granted


def test_nobody_mandates_themselves(principal: Side) -> None:
    (error,) = principal.offers(principal).json()["errors"]
    assert (error["field"], error["reason"]) == ("representativeId", "ONESELF")
