"""Agents find accounts and raise levels after seeing the person; the person sees who did."""

from functools import partial
from typing import Any

import grpc
import httpx
import pytest
from administration.identity.v1 import levels_pb2
from administration.options.v1.options_pb2 import AssuranceLevel

from tests.support.kafka import header, internal_options, tap
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, code, refusal

HIGH, SUBSTANTIAL = (
    AssuranceLevel.ASSURANCE_LEVEL_HIGH,
    AssuranceLevel.ASSURANCE_LEVEL_SUBSTANTIAL,
)
TOPIC = "administration.identity.v1.Account"


@pytest.fixture
def agent(realm: Realm) -> str:
    return realm.token("agent")


def raising(
    person: Person, level: AssuranceLevel.ValueType, piece: levels_pb2.Piece.ValueType
) -> levels_pb2.RaiseLevelRequest:
    return levels_pb2.RaiseLevelRequest(account_id=person.account_id, level=level, piece=piece)


def test_an_agent_finds_a_person_by_their_whole_address_and_sees_no_address(
    identity: Client, person: Person, agent: str, realm: Realm
) -> None:
    request = levels_pb2.FindAccountsRequest(email=person.email.upper())
    (found,) = identity.find_accounts(request, token=agent).accounts
    assert (found.account_id, found.display_name) == (person.account_id, person.name)
    assert found.email == ""
    (seen,) = identity.find_accounts(request, token=realm.token("admin")).accounts
    assert seen.email == person.email
    nobody = levels_pb2.FindAccountsRequest(email=f"x{person.email}")
    assert not identity.find_accounts(nobody, token=agent).accounts
    realm.doubt_address(person)
    assert not identity.find_accounts(request, token=agent).accounts


def test_a_level_is_raised_once_told_and_shown_to_the_person(
    stack: dict[str, Any], identity: Client, person: Person, agent: str, token: str, realm: Realm
) -> None:
    card = levels_pb2.PIECE_NATIONAL_IDENTITY_CARD
    licence = levels_pb2.PIECE_DRIVING_LICENCE
    with tap(internal_options(stack), TOPIC) as log:
        first = raising(person, SUBSTANTIAL, licence)
        made = identity.raise_level(first, token=agent).record
        assert identity.raise_level(first, token=agent).record == made
        assert made.administration == "ville-fort-de-france"
        assert made.agent_id == realm.subject("agent")
        again = raising(person, SUBSTANTIAL, card)
        assert refusal(partial(identity.raise_level, again, token=agent)).reason == (
            "LEVEL_NOT_RAISED"
        )
        second = identity.raise_level(raising(person, HIGH, card), token=agent).record
        read = levels_pb2.GetAccountRequest(account_id=person.account_id)
        assert identity.get_account(read, token=agent).account.level == HIGH
        mine = identity.list_level_records(levels_pb2.ListLevelRecordsRequest(), token=token)
        assert list(mine.records) == [second, made]
        told = log.until(
            lambda record: (
                record.key == person.account_id.encode()
                and header(record, "ce_type").endswith(".LevelRaised")
            ),
            count=2,
        )
    assert len(told) == 2
    assert all(person.name.encode() not in record.value for record in told)


def test_what_an_agent_may_not_say_is_refused_with_its_field(
    gateway: httpx.Client, person: Person, agent: str, realm: Realm
) -> None:
    headers = {"Authorization": f"Bearer {agent}"}
    for account_id, body, field in (
        (person.account_id, {"level": "ASSURANCE_LEVEL_HIGH", "piece": 5}, "piece"),
        (person.account_id, {"piece": "PIECE_PASSPORT"}, "level"),
        (realm.subject("agent"), {"level": 2, "piece": "PIECE_PASSPORT"}, "accountId"),
    ):
        answer = gateway.post(f"/v1/accounts/{account_id}/level", json=body, headers=headers)
        assert answer.status_code == 400, answer.text
        assert [fault["field"] for fault in answer.json()["errors"]] == [field]


def test_who_is_no_agent_finds_and_raises_nothing(
    identity: Client, person: Person, citizen_token: str, realm: Realm
) -> None:
    find = levels_pb2.FindAccountsRequest(email=person.email)
    raise_ = raising(person, HIGH, levels_pb2.PIECE_PASSPORT)
    denied = grpc.StatusCode.PERMISSION_DENIED
    assert code(partial(identity.find_accounts, find, token=citizen_token)) == denied
    assert code(partial(identity.raise_level, raise_, token=citizen_token)) == denied
    assert code(partial(identity.raise_level, raise_, token=realm.token("admin"))) == denied
