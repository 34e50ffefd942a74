"""Keycloak and identity stopped and killed: no event of the realm is lost or told twice, and no
order about access is forgotten.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from administration.documents.v1 import documents_pb2
from administration.identity.v1 import sessions_pb2

import deploy.local
from tests.support.kafka import Tap, header, internal_options, tap
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, code
from tests.support.sign_in import claims
from tests.support.tables import Tables

TOPIC = "administration.identity.v1.Account"
REFUSED = grpc.StatusCode.UNAUTHENTICATED


@pytest.fixture
def log(stack: dict[str, Any]) -> Iterator[Tap]:
    with tap(internal_options(stack), TOPIC) as opened:
        yield opened


@pytest.fixture
def keycloak(stack: dict[str, Any]) -> Iterator[None]:
    """Runs again after the test, whatever came of it."""
    yield
    deploy.local.start("keycloak")


def sign_ins(log: Tap, person: Person) -> list[str]:
    """The identifiers of a person's sign-ins on Kafka, each as often as it is there."""
    return [
        header(record, "ce_id")
        for record in log.drain()
        if record.key == person.account_id.encode()
        and header(record, "ce_type").endswith(".SignedIn")
    ]


def known(database: Tables, person: Person) -> set[str]:
    rows = database.rows(
        "SELECT event_id FROM identity.realm_events WHERE account_id = %s AND type = 'LOGIN'",
        person.account_id,
    )
    return {str(row["event_id"]) for row in rows}


def kill_identity() -> None:
    # Once it runs: what dies while it starts is started again more and more slowly.
    deploy.local.wait_healthy("identity")
    os.kill(deploy.local.pid("identity"), signal.SIGKILL)


def test_no_sign_in_is_lost_or_told_twice_while_identity_is_killed_and_keycloak_restarted(
    realm: Realm,
    person: Person,
    log: Tap,
    database: Tables,
    identity: Client,
    keycloak: None,
) -> None:
    for number in range(12):
        assert realm.sign_in(person) is not None
        if number % 4 == 1:
            kill_identity()
    # What was saved while nobody read, and is read after a restart of the realm itself.
    deploy.local.stop("identity")
    for _ in range(3):
        assert realm.sign_in(person) is not None
    deploy.local.restart("keycloak")
    deploy.local.start("identity")
    assert realm.sign_in(person) is not None

    told = eventually(lambda: found if len(found := Counter(sign_ins(log, person))) >= 16 else None)
    assert set(told) == known(database, person)
    assert len(told) == 16
    # A crash between Kafka's acknowledgement and ours sends an event again, under its own id.
    assert all(times <= 2 for times in told.values())
    for record in log.records:
        text = json.dumps([str(record.value), str(record.headers)])
        assert person.username not in text
        assert person.email not in text
        assert "127.0.0.1" not in str(record.value)

    tokens = realm.sign_in(person)
    assert tokens is not None
    request = sessions_pb2.ListSignInsRequest(page_size=200)

    def listed() -> bool:
        mine = identity.list_sign_ins(request, token=str(tokens["access_token"])).sign_ins
        return len(mine) == 17 and all(each.ip_address for each in mine)

    eventually(listed)


def test_a_failed_sign_in_is_in_the_history_of_its_account(
    realm: Realm, person: Person, identity: Client
) -> None:
    wrong = Person(person.account_id, person.username, "wrong", person.name, person.email)
    assert realm.sign_in(wrong) is None
    token = realm.fresh_token(person)

    def outcomes() -> list[int]:
        answer = identity.list_sign_ins(sessions_pb2.ListSignInsRequest(), token=token)
        return [each.outcome for each in answer.sign_ins]

    succeeded, failed = (
        sessions_pb2.SIGN_IN_OUTCOME_SUCCEEDED,
        sessions_pb2.SIGN_IN_OUTCOME_FAILED,
    )
    eventually(lambda: outcomes() == [succeeded, failed])


def test_an_ending_holds_while_the_realm_is_away_and_is_done_when_it_is_back(
    realm: Realm, person: Person, identity: Client, documents: Client, keycloak: None
) -> None:
    tokens = realm.sign_in(person)
    assert tokens is not None
    access, refresh = str(tokens["access_token"]), str(tokens["refresh_token"])
    request = documents_pb2.ListDocumentsRequest()
    assert code(lambda: documents.list_documents(request, token=access)) == grpc.StatusCode.OK
    deploy.local.stop("keycloak")
    own = sessions_pb2.EndSessionRequest(session_id=str(claims(access)["sid"]))
    identity.end_session(own, token=access)
    # Killed between its promise and the realm's deed.
    kill_identity()
    eventually(lambda: code(lambda: documents.list_documents(request, token=access)) == REFUSED)
    deploy.local.start("keycloak")
    deploy.local.wait_healthy("identity")
    eventually(lambda: realm.refresh(refresh) == 400, within=60)
    assert code(lambda: documents.list_documents(request, token=access)) == REFUSED
