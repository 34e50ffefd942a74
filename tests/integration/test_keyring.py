"""The keyring on the real database and broker: made once, given to few, rotated, destroyed."""

import itertools
import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from administration.identity.v1 import keyring_pb2

import deploy.local
from services.identity.keyring import Keyring, OwnerKey
from services.identity.masters import Masters
from tests.support.kafka import header, internal_options, tap
from tests.support.keyring import Lab, keyring, lab, master_key
from tests.support.realm import Realm
from tests.support.rpc import Client, refusal
from tests.support.tables import Tables

TOPIC = "administration.identity.v1.Key"


@pytest.fixture
def service_token(realm: Realm) -> str:
    """Of the one service that is given keys."""
    return realm.client_token("documents")


@pytest.fixture
def apart(stack: dict[str, Any]) -> Iterator[Lab]:
    """A keyring whose master keys may be anything."""
    with lab(stack) as opened:
        yield opened


def given(identity: Client, token: str, owner_id: str) -> list[keyring_pb2.OwnerKey]:
    request = keyring_pb2.GetKeysRequest(owner_id=owner_id)
    answer: keyring_pb2.GetKeysResponse = identity.get_keys(request, token=token)
    return list(answer.keys)


def test_an_owner_has_one_key_however_many_ask_for_it_first(
    identity: Client, service_token: str
) -> None:
    owner = str(uuid.uuid4())
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: given(identity, service_token, owner), range(32)))
    (key,) = answers[0]
    assert len(key.key) == 32
    assert all(answer == [key] for answer in answers)
    assert given(identity, service_token, str(uuid.uuid4()))[0].key != key.key


def test_the_database_holds_no_key_in_plain(
    identity: Client, service_token: str, database: Tables
) -> None:
    owner = str(uuid.uuid4())
    (key,) = given(identity, service_token, owner)
    (row,) = database.rows("SELECT * FROM identity.owner_keys WHERE owner_id = %s", owner)
    assert key.key not in row["wrapped"]
    assert str(row["key_id"]) == key.key_id


def test_a_row_that_was_given_another_owners_key_gives_none(
    identity: Client, service_token: str, database: Tables
) -> None:
    owners = [str(uuid.uuid4()) for _ in range(2)]
    for owner in owners:
        given(identity, service_token, owner)
    database.rows(
        "UPDATE identity.owner_keys SET wrapped = (SELECT wrapped FROM identity.owner_keys"
        " WHERE owner_id = %s) WHERE owner_id = %s",
        *owners,
    )
    refused = refusal(lambda: given(identity, service_token, owners[1]))
    assert (refused.code, refused.reason) == (grpc.StatusCode.DATA_LOSS, "KEY_DAMAGED")


@pytest.mark.parametrize("client", ["notifications", "exchange", "gateway", "identity"])
def test_no_other_service_is_given_a_key(client: str, identity: Client, realm: Realm) -> None:
    token = realm.client_token(client)
    refused = refusal(lambda: given(identity, token, str(uuid.uuid4())))
    assert refused.code == grpc.StatusCode.PERMISSION_DENIED


def test_a_key_survives_a_restart_of_identity(identity: Client, service_token: str) -> None:
    owner = str(uuid.uuid4())
    before = given(identity, service_token, owner)
    deploy.local.restart("identity")
    deploy.local.wait_healthy("identity")
    assert given(identity, service_token, owner) == before


def test_a_renewed_key_comes_first_and_is_published(
    identity: Client, service_token: str, stack: dict[str, Any]
) -> None:
    owner = str(uuid.uuid4())
    (first,) = given(identity, service_token, owner)
    with tap(internal_options(stack), TOPIC) as topic:
        keyring(stack, "renew", owner)
        (record,) = topic.until(lambda r: r.key == owner.encode())
    newest, earlier = given(identity, service_token, owner)
    assert earlier == first
    assert newest.key != first.key
    assert header(record, "ce_type") == "administration.identity.v1.KeyRenewed"
    assert json.loads(record.value)["keyId"] == newest.key_id


def test_destroyed_keys_are_gone_for_good_and_that_is_published_once(
    identity: Client, service_token: str, stack: dict[str, Any], database: Tables
) -> None:
    owner = str(uuid.uuid4())
    (key,) = given(identity, service_token, owner)
    with tap(internal_options(stack), TOPIC) as topic:
        assert keyring(stack, "destroy", "--yes", owner) == "destroyed\n"
        assert keyring(stack, "destroy", "--yes", owner) == "they were destroyed before\n"
        (record,) = topic.until(lambda r: r.key == owner.encode())
    assert header(record, "ce_type") == "administration.identity.v1.KeyDestroyed"
    assert json.loads(record.value)["keyIds"] == [key.key_id]
    with ThreadPoolExecutor(8) as pool:
        for refused in pool.map(
            lambda _: refusal(lambda: given(identity, service_token, owner)), range(8)
        ):
            assert refused.code == grpc.StatusCode.FAILED_PRECONDITION
            assert refused.reason == "KEY_DESTROYED"
    query = "SELECT 1 FROM identity.owner_keys WHERE owner_id = %s"
    assert database.count(query, owner) == 0


def test_an_owner_without_a_key_can_be_destroyed_and_never_gets_one(
    identity: Client, service_token: str, stack: dict[str, Any]
) -> None:
    owner = str(uuid.uuid4())
    keyring(stack, "destroy", "--yes", owner)
    refused = refusal(lambda: given(identity, service_token, owner))
    assert refused.reason == "KEY_DESTROYED"


def test_the_status_tells_which_master_key_wraps_how_many(stack: dict[str, Any]) -> None:
    told = keyring(stack, "status")
    assert "wraps" in told
    assert "NOT CONFIGURED" not in told


# ---- rotation of the master key, on a keyring apart ------------------------------------------


def made(apart: Lab, masters: Masters, count: int) -> dict[str, list[OwnerKey]]:
    """The keys of so many new owners."""
    owners = [str(uuid.uuid4()) for _ in range(count)]
    with apart.db.transaction() as session:
        return {owner: Keyring(session, masters).keys(owner) for owner in owners}


def test_the_master_key_is_rotated_by_two_at_once_while_keys_are_asked_for(
    apart: Lab, realm: Realm, tmp_path: Path
) -> None:
    old, new = master_key(), master_key()
    before = made(apart, Masters([old]), 1500)
    asked: dict[str, list[keyring_pb2.OwnerKey]] = {}
    stop = threading.Event()
    with apart.identity([new, old], tmp_path / "identity.log") as identity:

        def ask() -> None:
            # As long as the rotation takes, be it longer than all of them once, or than a token.
            known = itertools.cycle(before)
            while not stop.is_set():
                for owner in (str(uuid.uuid4()), next(known)):
                    token = realm.client_token("documents")
                    asked[owner] = given(identity, token, owner)

        with ThreadPoolExecutor(2) as pool:
            asking = [pool.submit(ask) for _ in range(2)]
            rotating = [apart.start([new, old], "keyring", "rotate") for _ in range(2)]
            for process in rotating:
                said, _ = process.communicate(timeout=120)
                assert process.returncode == 0, said
                assert f"every key is wrapped by {Masters([new]).newest}" in said
            stop.set()
            for future in asking:
                future.result(30)
    # The old master key is not needed any more, and no key has changed.
    with apart.db.transaction() as session:
        ring = Keyring(session, Masters([new]))
        assert all(ring.keys(owner) == keys for owner, keys in before.items())
        for owner, keys in asked.items():
            assert [key.key for key in ring.keys(owner)] == [key.key for key in keys]
    assert asked.keys() - before.keys()
    code, said = apart.run([new], "keyring", "status")
    assert code == 0
    assert "NOT CONFIGURED" not in said


def test_a_rotation_that_was_stopped_half_way_is_finished_by_the_next(apart: Lab) -> None:
    old, new = master_key(), master_key()
    masters = Masters([new, old])
    before = made(apart, Masters([old]), 20)
    with apart.db.transaction() as session:
        assert Keyring(session, masters).rewrap(Masters([old]).newest, 5) == 5

    def crash() -> None:
        with apart.db.transaction() as session:
            Keyring(session, masters).rewrap(Masters([old]).newest, 5)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        crash()
    code, said = apart.run([new, old], "keyring", "status")
    assert f"{Masters([old]).newest}  15    unwraps" in said
    code, said = apart.run([new, old], "keyring", "rotate")
    assert (code, said.partition(";")[0]) == (0, "15 keys wrapped")
    with apart.db.transaction() as session:
        assert all(Keyring(session, masters).keys(o) == keys for o, keys in before.items())


def test_without_a_master_key_that_is_needed_identity_is_not_ready_and_names_it(
    apart: Lab, tmp_path: Path
) -> None:
    lost = master_key()
    made(apart, Masters([lost]), 1)
    name = Masters([lost]).newest
    told = apart.readiness([master_key()], tmp_path / "identity.log")
    assert name in told
    assert "not configured" in told
    code, said = apart.run([master_key()], "keyring", "rotate")
    assert code == 2
    assert "is not configured: add it behind the others" in said
    code, said = apart.run([master_key()], "keyring", "status")
    assert "NOT CONFIGURED" in said
