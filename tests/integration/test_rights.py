"""What a person may ask about what is held of them, over all services: have it, have it erased."""

import io
import json
import os
import signal
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import boxes_pb2, uploads_pb2
from administration.identity.v1 import erasures_pb2, keyring_pb2
from joserfc import jws
from joserfc.jwk import KeySet

import deploy.local
from tests.support import vault
from tests.support.objects import Objects
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, code, refusal
from tests.support.shares import share
from tests.support.sign_in import SignIn
from tests.support.tables import Tables

HOME = {
    "streetAddress": "12 rue Victor Schœlcher",
    "postalCode": "97200",
    "locality": "Fort-de-France",
    "country": "MQ",
}
CONSENT = {
    "administration": "caf-martinique",
    "purpose": "Dossier d’allocation",
    "scopes": ["documents.read"],
    "expireTime": "2999-01-01T00:00:00Z",
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def restarted(name: str, gateway: httpx.Client) -> None:
    """A service is killed, started again by its supervisor, and found again by the gateway."""
    os.kill(deploy.local.pid(name), signal.SIGKILL)
    deploy.local.wait_healthy(name)
    eventually(lambda: gateway.get("/readyz").status_code == 200, what=f"{name} to be found")


def export(gateway: httpx.Client, token: str) -> dict[str, Any]:
    answer = gateway.get("/v1/me/export", headers=bearer(token))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["export"]
    assert found["state"] != "EXPORT_STATE_FAILED"
    return found


def ready(gateway: httpx.Client, token: str) -> dict[str, Any]:
    def state() -> dict[str, Any] | None:
        found = export(gateway, token)
        return found if found["state"] == "EXPORT_STATE_READY" else None

    # A process that fell may have had a minute left to hold it.
    return eventually(state, within=240, what="the export to be ready")


def archive(gateway: httpx.Client, token: str, document_id: str) -> zipfile.ZipFile:
    answer = gateway.get(f"/v1/documents/{document_id}/content", headers=bearer(token))
    assert answer.status_code == 200, answer.text
    found = zipfile.ZipFile(io.BytesIO(answer.content))
    assert found.testzip() is None
    return found


def stored(objects: Objects) -> set[str]:
    return objects.keys()


def addressed(account_id: str) -> boxes_pb2.OpenBoxRequest:
    """A drop box for one person."""
    piece = boxes_pb2.Piece(piece_id="bail", label="Bail", required=True)
    request = boxes_pb2.OpenBoxRequest(title="Dossier", pieces=[piece], account_id=account_id)
    request.deadline.FromDatetime(datetime.now(UTC) + timedelta(days=30))
    return request


def records(found: zipfile.ZipFile, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.read(name).decode().splitlines()]


def test_an_export_holds_everything_of_its_person_and_nothing_of_others(
    gateway: httpx.Client, documents: Client, realm: Realm, person: Person, token: str
) -> None:
    reached = {"phoneNumber": "+596696123456", "postalAddress": HOME}
    assert gateway.patch("/v1/me", json=reached, headers=bearer(token)).status_code == 200
    assert gateway.post("/v1/me/consents", json=CONSENT, headers=bearer(token)).status_code == 200
    contents = {}
    for number in range(3):
        data = vault.unique_bytes(100_000 * number + 1_000)
        deposited = vault.deposit(documents, token, data, name=f"pièce {number}.pdf")
        contents[f"documents/{deposited.document_id}/pièce {number}.pdf"] = data
    shared = share(documents, token, deposited.document_id, administration="caf-martinique")
    box = documents.open_box(addressed(person.account_id), token=realm.token("agent")).box
    with realm.person() as other:
        theirs = realm.token_of(other)
        received = vault.deposit(documents, theirs, vault.unique_bytes()).document_id
        share(documents, theirs, received, account_id=person.account_id)

        asked = gateway.post("/v1/me/export", json={}, headers=bearer(token)).json()["export"]
        again = gateway.post("/v1/me/export", json={}, headers=bearer(token)).json()["export"]
        assert asked["exportId"] == again["exportId"]
        done = ready(gateway, token)
    assert done["exportId"] == asked["exportId"]
    assert {part["service"] for part in done["parts"] if part["complete"]} == {
        "documents", "identity", "notifications",
    }  # fmt: skip

    found = archive(gateway, token, done["documentId"])
    (account,) = records(found, "identity/account.jsonl")
    assert (account["accountId"], account["email"]) == (person.account_id, person.email)
    assert account.items() >= reached.items()
    (consent,) = records(found, "identity/consents.jsonl")
    assert consent["purpose"] == CONSENT["purpose"]
    (given,) = records(found, "documents/shares.jsonl")
    assert (given["shareId"], given["purpose"]) == (shared.share_id, shared.purpose)
    (taken,) = records(found, "documents/shared_with_me.jsonl")
    assert taken["documentId"] == received
    (asked_for,) = records(found, "documents/boxes.jsonl")
    assert (asked_for["box"]["boxId"], asked_for["own"]["missingPieceIds"]) == (
        box.box_id,
        ["bail"],
    )
    files = {name: found.read(name) for name in found.namelist() if name.count("/") == 2}
    assert files == contents
    assert "sept jours" in found.read("LISEZ-MOI.txt").decode()
    # The next one does not hold this one, and this one says when it goes.
    described = gateway.get(f"/v1/documents/{done['documentId']}", headers=bearer(token)).json()
    assert described["document"]["expireTime"] == done["expireTime"]


@pytest.mark.parametrize("killed", ["documents", "identity", "notifications"])
def test_an_export_survives_the_fall_of_a_service(
    killed: str, gateway: httpx.Client, documents: Client, person: Person, token: str
) -> None:
    gateway.get("/v1/me", headers=bearer(token))
    data = vault.unique_bytes(3_000_000)
    deposited = vault.deposit(documents, token, data, name="acte.pdf")
    gateway.post("/v1/me/export", json={}, headers=bearer(token))
    restarted(killed, gateway)
    done = ready(gateway, token)
    found = archive(gateway, token, done["documentId"])
    assert found.read(f"documents/{deposited.document_id}/acte.pdf") == data
    assert records(found, "identity/account.jsonl")[0]["accountId"] == person.account_id


def test_an_export_that_is_over_is_destroyed(
    gateway: httpx.Client, token: str, database: Tables, objects: Objects
) -> None:
    gateway.post("/v1/me/export", json={}, headers=bearer(token))
    document_id = ready(gateway, token)["documentId"]
    assert document_id in stored(objects)
    database.rows(
        "UPDATE documents.documents SET expire_time = now() WHERE document_id = %s", document_id
    )
    database.rows("UPDATE documents.exports SET expire_time = now()")
    gone = gateway.get(f"/v1/documents/{document_id}/content", headers=bearer(token))
    assert gone.status_code == 404
    assert export(gateway, token)["state"] == "EXPORT_STATE_EXPIRED"
    eventually(lambda: document_id not in stored(objects))


# ---- erasure ------------------------------------------------------------------------------------


@pytest.fixture
def fresh(stack: dict[str, Any], person: Person) -> str:
    """A token of `person`, who has just signed in: an erasure asks for that."""
    sign_in = SignIn(stack)
    with sign_in.browser() as browser:
        tokens = sign_in.tokens(sign_in.password(browser, sign_in.start(browser), person))
    return str(tokens["access_token"])


def asked(gateway: httpx.Client, token: str) -> tuple[str, str]:
    """The identifier of an erasure, and the code that cancels it."""
    answer = gateway.post("/v1/me/erasure", json={}, headers=bearer(token))
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["erasure"]["state"] == "ERASURE_STATE_SCHEDULED"
    return body["erasure"]["erasureId"], body["cancelCode"]


def state(gateway: httpx.Client, erasure_id: str) -> dict[str, Any]:
    found: dict[str, Any] = gateway.get(f"/v1/erasures/{erasure_id}").json()["erasure"]
    return found


def is_refused(gateway: httpx.Client, token: str) -> bool:
    return gateway.get("/v1/me", headers=bearer(token)).status_code == 401


def is_welcome(gateway: httpx.Client, realm: Realm, person: Person) -> bool:
    tokens = realm.sign_in(person)
    return tokens is not None and not is_refused(gateway, str(tokens["access_token"]))


def test_an_erasure_disables_at_once_waits_and_can_be_cancelled(
    gateway: httpx.Client, realm: Realm, person: Person, fresh: str
) -> None:
    gateway.get("/v1/me", headers=bearer(fresh))
    erasure_id, cancel_code = asked(gateway, fresh)
    eventually(lambda: is_refused(gateway, fresh))
    eventually(lambda: realm.sign_in(person) is None)

    path = f"/v1/erasures/{erasure_id}/cancel"
    wrong = gateway.post(path, json={"cancelCode": "autre"})
    assert (wrong.status_code, wrong.json()["reason"]) == (404, "ERASURE_NOT_FOUND")
    for _ in range(2):
        kept = gateway.post(path, json={"cancelCode": cancel_code}).json()["erasure"]
        assert kept["state"] == "ERASURE_STATE_CANCELLED"
    # What was issued up to the end is refused, by a clock that may be ahead of ours.
    eventually(lambda: is_welcome(gateway, realm, person), within=60, what="a sign-in that counts")


def test_an_erasure_leaves_nothing_in_any_service_and_is_certified(
    gateway: httpx.Client, clients: dict[str, Client], realm: Realm, person: Person, fresh: str,
    database: Tables, objects: Objects,
) -> None:  # fmt: skip
    gateway.get("/v1/me", headers=bearer(fresh))
    gateway.post("/v1/me/consents", json=CONSENT, headers=bearer(fresh))
    kept = {
        vault.deposit(clients["documents"], fresh, vault.unique_bytes()).document_id
        for _ in range(25)
    }
    opening = uploads_pb2.OpenUploadRequest.Header(
        name="bail.pdf", media_type="application/pdf", size_bytes=9, sha256="ab" * 32
    )
    clients["documents"].open_upload(uploads_pb2.OpenUploadRequest(header=opening), token=fresh)
    account_id = person.account_id
    (one, *_) = kept
    box_id = (
        clients["documents"].open_box(addressed(account_id), token=realm.token("agent")).box.box_id
    )
    handing_in = boxes_pb2.HandInDocumentRequest(box_id=box_id, piece_id="bail", document_id=one)
    clients["documents"].hand_in_document(handing_in, token=fresh)
    citizen = realm.token("citizen")
    theirs = vault.deposit(clients["documents"], citizen, vault.unique_bytes()).document_id
    share(clients["documents"], citizen, theirs, account_id=account_id)
    notices = "SELECT 1 FROM notifications.entries WHERE account_id = %s"
    eventually(lambda: database.count(notices, account_id) >= len(kept) or None)
    erasure_id, cancel_code = asked(gateway, fresh)
    database.rows("UPDATE identity.erasures SET due_time = now() WHERE erasure_id = %s", erasure_id)
    # Whatever falls meanwhile.
    for name in ("documents", "identity", "notifications"):
        restarted(name, gateway)

    def erased() -> dict[str, Any] | None:
        found = state(gateway, erasure_id)
        return found if found["state"] == "ERASURE_STATE_ERASED" else None

    done = eventually(erased, within=240, what="the erasure to be done")
    parts = {
        (part["service"], item["kind"]): int(item.get("count", 0))
        for part in done["parts"]
        for item in part["items"]
    }
    assert parts["documents", "document"] == len(kept)
    assert parts["documents", "share_received"] == parts["documents", "box_joined"] == 1
    assert parts["notifications", "inbox_entry"] >= len(kept)
    assert parts["identity", "account"] == parts["identity", "consent"] == 1
    assert parts["identity", "key"] == 1

    for query in (
        "SELECT 1 FROM identity.accounts WHERE account_id = %s",
        "SELECT 1 FROM identity.consents WHERE account_id = %s",
        "SELECT 1 FROM identity.erasures WHERE account_id = %s",
        "SELECT 1 FROM identity.owner_keys WHERE owner_id = %s",
        "SELECT 1 FROM documents.documents WHERE owner_id = %s",
        "SELECT 1 FROM documents.search_entries WHERE owner_id = %s",
        "SELECT 1 FROM documents.search_keys WHERE owner_id = %s",
        "SELECT 1 FROM documents.shares WHERE account_id = %s",
        "SELECT 1 FROM documents.boxes WHERE account_id = %s",
        "SELECT 1 FROM documents.box_depositors WHERE account_id = %s",
        "SELECT 1 FROM documents.hand_ins WHERE account_id = %s",
        "SELECT 1 FROM documents.uploads WHERE owner_id = %s",
        "SELECT 1 FROM documents.usages WHERE payer = 'person:' || %s",
        "SELECT 1 FROM notifications.entries WHERE account_id = %s",
        "SELECT 1 FROM notifications.deliveries WHERE account_id = %s",
    ):
        assert database.count(query, account_id) == 0, query
    assert not kept & stored(objects)
    assert realm.sign_in(person) is None
    request = keyring_pb2.GetKeysRequest(owner_id=account_id)
    service = realm.client_token("documents")
    told = refusal(lambda: clients["identity"].get_keys(request, token=service))
    assert told.reason == "KEY_DESTROYED"

    keys = KeySet.import_key_set(gateway.get("/v1/consents/keys").json())
    certificate = json.loads(
        jws.deserialize_compact(done["certificate"], keys, algorithms=["Ed25519"]).payload
    )
    assert certificate["sub"] == erasure_id
    assert {part["service"] for part in certificate["parts"]} == {
        "documents", "identity", "notifications",
    }  # fmt: skip
    assert account_id not in json.dumps(certificate)
    late = gateway.post(f"/v1/erasures/{erasure_id}/cancel", json={"cancelCode": cancel_code})
    assert (late.status_code, late.json()["reason"]) == (409, "ERASURE_BEGUN")


def test_an_administrator_who_enables_the_account_cancels_its_erasure(
    gateway: httpx.Client, realm: Realm, person: Person, fresh: str
) -> None:
    gateway.get("/v1/me", headers=bearer(fresh))
    erasure_id, _ = asked(gateway, fresh)
    path = f"/v1/accounts/{person.account_id}/enable"
    assert gateway.post(path, json={}, headers=bearer(realm.token("admin"))).status_code == 200
    assert state(gateway, erasure_id)["state"] == "ERASURE_STATE_CANCELLED"
    eventually(lambda: is_welcome(gateway, realm, person), within=60)


def test_an_erasure_needs_a_sign_in_of_late_and_an_identifier_that_exists(
    gateway: httpx.Client, identity: Client, person: Person, token: str
) -> None:
    # A token without the time of its sign-in.
    answer = gateway.post("/v1/me/erasure", json={}, headers=bearer(token))
    assert answer.status_code == 401
    assert 'max_age="300"' in answer.headers["WWW-Authenticate"]
    nobody = erasures_pb2.GetErasureRequest(erasure_id=person.account_id)
    assert code(lambda: identity.get_erasure(nobody)) is grpc.StatusCode.NOT_FOUND
