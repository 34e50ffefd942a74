"""Contents on the real object store and keyring: sealed, tamper-evident, gone with their keys."""

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

import deploy.local
from services.documents.domain.sealing import SEGMENT_BYTES
from tests.support import vault
from tests.support.keyring import keyring
from tests.support.leftovers import Leftovers
from tests.support.objects import Objects
from tests.support.polling import eventually
from tests.support.processes import BACKBONE, free_port, running
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, Refusal, refusal
from tests.support.tables import Tables

SIZE = SEGMENT_BYTES * 4 + 12_345


def reading(documents: Client, token: str, document_id: str) -> Refusal | bytes:
    try:
        return vault.read(documents, token, document_id)[1]
    except grpc.RpcError as error:
        return Refusal(error)


def test_the_object_store_holds_nothing_of_the_content(
    documents: Client, token: str, objects: Objects
) -> None:
    data = vault.unique_bytes(SIZE)
    document_id = vault.deposit(documents, token, data).document_id
    held = objects.read(document_id)
    assert len(held) > len(data)
    for start in range(0, len(data), 1000):
        assert data[start : start + 16] not in held


def test_a_range_is_read_across_and_at_the_borders_of_segments(
    documents: Client, token: str
) -> None:
    data = vault.unique_bytes(SIZE)
    document_id = vault.deposit(documents, token, data).document_id
    border = SEGMENT_BYTES - 16 - 40
    for offset, length in (
        (border - 1, 2), (border, 1), (border + SEGMENT_BYTES - 16, 10), (SEGMENT_BYTES, 600_000),
        (SIZE - 1, 1), (1, SIZE - 2),
    ):  # fmt: skip
        _, content = vault.read(documents, token, document_id, offset, length)
        assert content == data[offset : offset + length]


def flipped(data: bytes) -> bytes:
    position = len(data) // 2
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


def exchanged(data: bytes) -> bytes:
    first, second = data[:SEGMENT_BYTES], data[SEGMENT_BYTES : 2 * SEGMENT_BYTES]
    return second + first + data[2 * SEGMENT_BYTES :]


@pytest.mark.parametrize("change", [flipped, exchanged])
def test_bytes_that_were_changed_at_the_store_are_never_passed_off(
    change: Any, documents: Client, token: str, objects: Objects, gateway: httpx.Client
) -> None:
    data = vault.unique_bytes(SIZE)
    document_id = vault.deposit(documents, token, data).document_id
    objects.write(document_id, change(objects.read(document_id)))
    refused = reading(documents, token, document_id)
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.reason) == (grpc.StatusCode.DATA_LOSS, "DAMAGED")
    # Over HTTP the answer has begun: its connection breaks, and its length is missed.
    address = f"/v1/documents/{document_id}/content"
    with pytest.raises(httpx.RemoteProtocolError):
        gateway.get(address, headers={"Authorization": f"Bearer {token}"})


def test_two_documents_that_were_exchanged_at_the_store_are_not_readable(
    documents: Client, token: str, objects: Objects
) -> None:
    ids = [vault.deposit(documents, token, vault.unique_bytes(SIZE)).document_id for _ in range(2)]
    held = [objects.read(document_id) for document_id in ids]
    for document_id, data in zip(ids, reversed(held), strict=True):
        objects.write(document_id, data)
        refused = reading(documents, token, document_id)
        assert isinstance(refused, Refusal)
        assert refused.code == grpc.StatusCode.DATA_LOSS


@pytest.fixture
def without_keyring(stack: dict[str, Any], tmp_path: Path) -> Iterator[Client]:
    """A second process of documents, whose identity is not there."""
    known: dict[str, str] = stack["services"]["documents"]["environment"]
    settings = known | {
        "BACKBONE_GRPC_LISTEN": f"127.0.0.1:{free_port()}",
        "BACKBONE_OPS_LISTEN": f"127.0.0.1:{free_port()}",
        "BACKBONE_IDENTITY_ADDRESS": f"127.0.0.1:{free_port()}",
        "BACKBONE_OTLP_ENDPOINT": "",
    }
    log = tmp_path / "documents.log"

    def ready() -> bool:
        try:
            address = f"http://{settings['BACKBONE_OPS_LISTEN']}/readyz"
            return httpx.get(address, timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    with running(BACKBONE, "serve", "documents", environment=settings, log=log):
        eventually(ready, within=60)
        client = Client("documents", settings["BACKBONE_GRPC_LISTEN"])
        yield client
        client.close()


def test_without_the_keyring_a_deposit_is_refused_and_leaves_nothing(
    without_keyring: Client, unlucky_token: str, leftovers: Leftovers
) -> None:
    refused = refusal(
        lambda: vault.deposit(without_keyring, unlucky_token, vault.unique_bytes(SIZE))
    )
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "KEYRING_UNAVAILABLE",
    )
    assert refused.metadata["http_status"] == "503"
    eventually(leftovers.none)


def test_without_the_keyring_reading_is_refused_before_it_begins(
    without_keyring: Client, documents: Client, token: str
) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    refused = reading(without_keyring, token, document_id)
    assert isinstance(refused, Refusal)
    assert refused.reason == "KEYRING_UNAVAILABLE"


def test_the_keyring_comes_back_and_so_do_deposits_and_contents(
    documents: Client, realm: Realm
) -> None:
    with realm.person() as person:
        token = realm.token_of(person)
        data = vault.unique_bytes(SIZE)
        document_id = vault.deposit(documents, token, data).document_id
        deploy.local.restart("identity")
        deploy.local.wait_healthy("identity")
        assert vault.read(documents, token, document_id)[1] == data
    with realm.person() as other:
        # Whose key nobody has asked for yet.
        token = realm.token_of(other)
        document_id = vault.deposit(documents, token, data).document_id
        assert vault.read(documents, token, document_id)[1] == data


def test_with_its_owners_keys_a_content_is_gone_although_the_object_is_there(
    documents: Client,
    person: Person,
    token: str,
    objects: Objects,
    gateway: httpx.Client,
    stack: dict[str, Any],
) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    held = objects.read(document_id)
    # Read once more: the key is in the memory of documents.
    vault.read(documents, token, document_id)
    keyring(stack, "destroy", "--yes", person.account_id)

    def gone() -> bool:
        found = reading(documents, token, document_id)
        return isinstance(found, Refusal) and found.reason == "ERASED"

    eventually(gone)
    assert objects.read(document_id) == held
    address = f"/v1/documents/{document_id}"
    headers = {"Authorization": f"Bearer {token}"}
    answer = gateway.get(f"{address}/content", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (410, "ERASED")
    # What is known of it besides its content stays.
    assert gateway.get(address, headers=headers).status_code == 200
    refused = refusal(lambda: vault.deposit(documents, token, vault.unique_bytes()))
    assert refused.reason == "ERASED"


def test_a_renewed_key_wraps_every_content_again_while_more_are_deposited(
    documents: Client,
    person: Person,
    token: str,
    objects: Objects,
    stack: dict[str, Any],
    database: Tables,
) -> None:
    contents: dict[str, bytes] = {}
    stop = threading.Event()

    def deposit() -> None:
        while not stop.is_set():
            data = vault.unique_bytes()
            contents[vault.deposit(documents, token, data).document_id] = data

    def wrapped_by() -> set[str]:
        query = "SELECT owner_key_id::text AS key FROM documents.documents WHERE owner_id = %s"
        return {row["key"] for row in database.rows(query, person.account_id)}

    depositing = threading.Thread(target=deposit)
    depositing.start()
    try:
        eventually(lambda: len(contents) > 20, within=120)
        (before,) = wrapped_by()
        first = next(iter(contents))
        held = objects.read(first)
        newest = keyring(stack, "renew", person.account_id).split()[-1]
        eventually(lambda: wrapped_by() == {newest})
        count = len(contents)
        eventually(lambda: len(contents) > count + 5)
    finally:
        stop.set()
        depositing.join(60)
    assert uuid.UUID(newest) != uuid.UUID(before)
    eventually(lambda: wrapped_by() == {newest})
    assert objects.read(first) == held
    for document_id, data in contents.items():
        assert vault.read(documents, token, document_id)[1] == data
