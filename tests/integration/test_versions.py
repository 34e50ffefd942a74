"""Versions of documents on real components: none is lost, none overwrites another."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import (
    deposits_pb2,
    documents_pb2,
    retention_pb2,
    uploads_pb2,
    versions_pb2,
)
from administration.documents.v1.versions_pb2 import DepositVersionRequest, Version
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from backbone.receipts.checks import Evidence, Mark, of_receipt
from backbone.receipts.notes import Verifier
from deploy.local.clamav import EICAR
from drills.vault_crash import reconcile
from services.documents.documents import DocumentRow
from services.documents.versions import Versions
from tests.integration.test_documents_service import share
from tests.integration.test_sealed_contents import flipped
from tests.integration.test_uploads import send
from tests.support import vault
from tests.support.kafka import header, internal_options, once, tap
from tests.support.objects import Objects
from tests.support.polling import eventually
from tests.support.realm import Realm
from tests.support.rpc import Client, refusal
from tests.support.tables import Tables

TOPIC = "administration.documents.v1.Document"
AVAILABLE = deposits_pb2.DOCUMENT_STATE_AVAILABLE
REFUSED = deposits_pb2.DOCUMENT_STATE_REFUSED


def messages(document_id: str, data: bytes, **header: Any) -> Iterator[DepositVersionRequest]:
    announced = {"media_type": "application/pdf", **header}
    yield DepositVersionRequest(
        header=DepositVersionRequest.Header(document_id=document_id, **announced)
    )
    for chunk in vault.chunks(data):
        yield DepositVersionRequest(chunk=chunk)
    yield DepositVersionRequest(end=DepositVersionRequest.End())


def deposited(
    documents: Client, token: str, document_id: str, data: bytes, **header: Any
) -> Version:
    """A version, as its deposit is answered."""
    sent = messages(document_id, data, **header)
    answer: versions_pb2.DepositVersionResponse = documents.deposit_version(sent, token=token)
    return answer.version


def versions(documents: Client, token: str, document_id: str) -> list[Version]:
    request = versions_pb2.ListVersionsRequest(document_id=document_id)
    return list(documents.list_versions(request, token=token).versions)


def version(documents: Client, token: str, document_id: str, number: int) -> Version:
    """One of them, once its check has ended."""

    def ended() -> Version | None:
        (found,) = (
            item for item in versions(documents, token, document_id) if item.version == number
        )
        return None if found.state == deposits_pb2.DOCUMENT_STATE_CHECKING else found

    return eventually(ended)


def content(documents: Client, token: str, document_id: str, number: int = 0) -> bytes:
    request = documents_pb2.ReadContentRequest(document_id=document_id, version=number)
    _, *rest = documents.read_content(request, token=token)
    return b"".join(message.chunk for message in rest)


def restore(documents: Client, token: str, document_id: str, number: int) -> Version:
    request = versions_pb2.RestoreVersionRequest(document_id=document_id, version=number)
    answer: versions_pb2.RestoreVersionResponse = documents.restore_version(request, token=token)
    return answer.version


def inbox(gateway: httpx.Client, token: str) -> list[str]:
    """The kinds of what a person was told."""
    answer = gateway.get("/v1/inbox", headers={"Authorization": f"Bearer {token}"})
    return [entry["kind"] for entry in answer.raise_for_status().json().get("entries", [])]


@pytest.fixture
def first() -> bytes:
    return vault.unique_bytes(300_000)


@pytest.fixture
def document_id(documents: Client, token: str, first: bytes) -> str:
    return vault.deposit(documents, token, first).document_id


def test_a_deposit_onto_a_document_is_its_next_version_and_the_earlier_one_stays(
    documents: Client, token: str, stack: dict[str, Any], document_id: str, first: bytes
) -> None:
    second = vault.unique_bytes(400_000)
    with tap(internal_options(stack), TOPIC) as topic:
        made = deposited(documents, token, document_id, second, name="acte signé.pdf")
        assert (made.version, made.document_id, made.current) == (2, document_id, False)
        assert version(documents, token, document_id, 2).state == AVAILABLE
        records = topic.until(
            lambda r: r.key == document_id.encode() and json.loads(r.value)["version"] == 2, count=2
        )
    told = [header(record, "ce_type").rpartition(".")[2] for record in records]
    assert told == ["DocumentReceived", "DocumentDeposited"]
    newest, oldest = versions(documents, token, document_id)
    assert (newest.version, newest.current, newest.sha256) == (2, True, vault.sha256(second))
    assert (oldest.version, oldest.current, oldest.sha256) == (1, False, vault.sha256(first))
    assert (newest.name, oldest.name) == ("acte signé.pdf", "acte.pdf")
    document = vault.checked(documents, token, document_id)
    assert (document.version, document.sha256) == (2, vault.sha256(second))
    assert document.create_time.ToDatetime() < document.version_time.ToDatetime()
    assert content(documents, token, document_id) == second
    assert content(documents, token, document_id, 1) == first


def test_of_two_who_go_on_from_the_same_content_the_second_learns_it(
    gateway: httpx.Client, documents: Client, token: str, document_id: str
) -> None:
    url = f"/v1/documents/{document_id}/content"
    owner = {"Authorization": f"Bearer {token}"}

    def put(data: bytes, tags: str) -> httpx.Response:
        headers = owner | {"Content-Type": "application/pdf", "If-Match": tags}
        return gateway.put(url, content=data, headers=headers)

    tag = gateway.get(url, headers=owner).headers["etag"]
    # Of the two at once, whichever comes first: the other one is not checked yet by then.
    with ThreadPoolExecutor(2) as pool:
        twice = [pool.submit(put, vault.unique_bytes(), tag) for _ in range(2)]
    answers = [each.result() for each in twice]
    assert sorted(answer.status_code for answer in answers) == [201, 412]
    (refused,) = (answer for answer in answers if answer.status_code == 412)
    assert refused.json()["reason"] == "CONTENT_CHANGED"
    made = version(documents, token, document_id, 2)
    assert [item.version for item in versions(documents, token, document_id)] == [2, 1]

    assert put(vault.unique_bytes(), tag).status_code == 412
    assert put(EICAR, f'"other", "{made.sha256}"').status_code == 201
    assert version(documents, token, document_id, 3).state == REFUSED
    # A refused one changes nothing, this neither.
    assert put(vault.unique_bytes(), f'"{made.sha256}"').status_code == 201
    assert put(vault.unique_bytes(), "*").status_code == 201
    assert [item.version for item in versions(documents, token, document_id)] == [5, 4, 3, 2, 1]


def test_a_version_that_is_refused_changes_nothing_and_is_told(
    documents: Client, token: str, gateway: httpx.Client, document_id: str, first: bytes
) -> None:
    before = vault.checked(documents, token, document_id)
    deposited(documents, token, document_id, EICAR, media_type="text/plain", name="note.txt")
    refused = version(documents, token, document_id, 2)
    assert (refused.state, refused.current) == (REFUSED, False)
    assert refused.refusal_reason == deposits_pb2.REFUSAL_REASON_MALWARE
    assert vault.checked(documents, token, document_id) == before
    assert content(documents, token, document_id) == first
    read = refusal(lambda: content(documents, token, document_id, 2))
    assert (read.code, read.reason) == (grpc.StatusCode.ABORTED, "DOCUMENT_REFUSED")

    eventually(lambda: "VersionRefused" in inbox(gateway, token))
    # The number is taken: what comes next is the third.
    third = vault.unique_bytes()
    assert deposited(documents, token, document_id, third).version == 3
    version(documents, token, document_id, 3)
    assert content(documents, token, document_id) == third


def test_whoever_deposits_at_once_is_never_lost(
    documents: Client, token: str, document_id: str, first: bytes
) -> None:
    contents = [vault.unique_bytes(50_000) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda data: deposited(documents, token, document_id, data), contents))
    numbers = {item.version: data for item, data in zip(made, contents, strict=True)}
    assert sorted(numbers) == list(range(2, 10))
    for number, data in {**numbers, 1: first}.items():
        assert version(documents, token, document_id, number).state == AVAILABLE
        assert content(documents, token, document_id, number) == data
    assert content(documents, token, document_id) == numbers[9]
    (current,) = (item for item in versions(documents, token, document_id) if item.current)
    assert current.version == 9


def test_a_version_is_restored_as_the_next_one_without_a_copy(
    documents: Client, token: str, document_id: str, first: bytes, objects: Objects
) -> None:
    deposited(documents, token, document_id, vault.unique_bytes())
    version(documents, token, document_id, 2)
    held = objects.keys()
    made = restore(documents, token, document_id, 1)
    assert (made.version, made.restored_from, made.current) == (3, 1, True)
    assert made.sha256 == vault.sha256(first)
    assert content(documents, token, document_id) == first
    assert [item.version for item in versions(documents, token, document_id)] == [3, 2, 1]
    assert objects.keys() <= held
    again = refusal(lambda: restore(documents, token, document_id, 3))
    assert (again.code, again.reason) == (grpc.StatusCode.ABORTED, "VERSION_CURRENT")
    none = refusal(lambda: restore(documents, token, document_id, 9))
    assert (none.code, none.reason) == (grpc.StatusCode.NOT_FOUND, "VERSION_NOT_FOUND")


def test_a_list_that_meets_an_exchange_has_every_version_once(
    documents: Client, token: str, stack: dict[str, Any], document_id: str, first: bytes
) -> None:
    engine = create_engine(stack["postgres"]["databases"]["documents"])
    with Session(engine) as session:
        before = session.get_one(DocumentRow, uuid.UUID(document_id))
        assert before.version == 1
        deposited(documents, token, document_id, vault.unique_bytes())
        accepted = version(documents, token, document_id, 2)
        rows, _ = Versions(session).page(before, 0, "")
        assert [row.version for row in rows] == [2, 1]
        assert Versions(session).one(before, 2).sha256 == accepted.sha256
        assert Versions(session).one(before, 1).sha256 == hashlib.sha256(first).hexdigest()
    engine.dispose()


def test_each_version_has_its_own_receipt(
    documents: Client, token: str, document_id: str, first: bytes
) -> None:
    second = vault.unique_bytes()
    deposited(documents, token, document_id, second)
    version(documents, token, document_id, 2)
    restore(documents, token, document_id, 1)
    places = set()
    for number, data in {1: first, 2: second, 3: first, 0: first}.items():
        receipt = vault.receipt(documents, token, document_id, number)
        assert receipt.version == (number or 3)
        evidence = Evidence(key=Verifier.parse(receipt.key))
        findings = list(of_receipt(receipt, len(data), vault.sha256(data), evidence))
        assert Mark.FAILED not in {finding.mark for finding in findings}, findings
        places.add(receipt.leaf_index)
    assert len(places) == 3


def test_a_share_shows_the_current_version_alone(
    documents: Client, token: str, realm: Realm, document_id: str
) -> None:
    share(documents, token, document_id, "ville-fort-de-france")
    second = vault.unique_bytes()
    deposited(documents, token, document_id, second)
    version(documents, token, document_id, 2)
    agent = realm.token("agent")
    assert content(documents, agent, document_id) == second
    assert content(documents, agent, document_id, 2) == second
    earlier = refusal(lambda: content(documents, agent, document_id, 1))
    assert (earlier.code, earlier.reason) == (grpc.StatusCode.NOT_FOUND, "VERSION_NOT_FOUND")
    for forbidden in (
        lambda: versions(documents, agent, document_id),
        lambda: restore(documents, agent, document_id, 1),
        lambda: deposited(documents, agent, document_id, second),
    ):
        assert refusal(forbidden).code == grpc.StatusCode.NOT_FOUND


def test_an_upload_becomes_a_version_of_the_document_it_names(
    documents: Client, token: str, realm: Realm, document_id: str, first: bytes
) -> None:
    data = vault.unique_bytes(200_000)
    head = uploads_pb2.OpenUploadRequest.Header(
        name="acte.pdf",
        media_type="application/pdf",
        size_bytes=len(data),
        sha256=vault.sha256(data),
    )
    request = uploads_pb2.OpenUploadRequest(header=head, version_of=document_id)
    upload = documents.open_upload(request, token=token).upload
    assert upload.version_of == document_id
    send(upload.parts[0], data)
    done = uploads_pb2.CompleteUploadRequest(document_id=upload.document_id)
    made = documents.complete_upload(done, token=token).document
    assert (made.document_id, made.version) == (document_id, 2)
    assert version(documents, token, document_id, 2).state == AVAILABLE
    again = documents.complete_upload(done, token=token).document
    assert (again.document_id, again.version) == (document_id, 2)
    assert content(documents, token, document_id) == data
    assert content(documents, token, document_id, 1) == first
    with realm.person() as stranger:
        refused = refusal(lambda: documents.open_upload(request, token=realm.token_of(stranger)))
    assert refused.code == grpc.StatusCode.NOT_FOUND


def test_what_is_in_the_trash_has_no_new_version_until_it_is_taken_back(
    documents: Client, token: str, document_id: str, first: bytes
) -> None:
    data = vault.unique_bytes()
    deposited(documents, token, document_id, data)
    version(documents, token, document_id, 2)
    trashed = retention_pb2.DeleteDocumentRequest(document_id=document_id)
    documents.delete_document(trashed, token=token)
    head = uploads_pb2.OpenUploadRequest.Header(
        name="acte.pdf", media_type="application/pdf", size_bytes=9, sha256="ab" * 32
    )
    upload = uploads_pb2.OpenUploadRequest(header=head, version_of=document_id)
    for attempt in (
        lambda: deposited(documents, token, document_id, data),
        lambda: restore(documents, token, document_id, 1),
        lambda: documents.open_upload(upload, token=token),
    ):
        told = refusal(attempt)
        assert (told.code, told.reason) == (grpc.StatusCode.ABORTED, "DOCUMENT_TRASHED")
    back = retention_pb2.RestoreDocumentRequest(document_id=document_id)
    assert documents.restore_document(back, token=token).document.version == 2
    assert restore(documents, token, document_id, 1).version == 3
    assert content(documents, token, document_id) == first


def test_over_http_a_version_is_put_listed_read_and_restored(
    gateway: httpx.Client, documents: Client, token: str, document_id: str, first: bytes
) -> None:
    me = {"Authorization": f"Bearer {token}"}
    second = vault.unique_bytes()
    path = f"/v1/documents/{document_id}"
    put = gateway.put(
        f"{path}/content", content=second, headers={**me, "Content-Type": "application/pdf"}
    )
    assert put.status_code == 201, put.text
    assert put.headers["location"] == f"{path}?version=2"
    assert put.json()["version"]["name"] == "acte.pdf"
    version(documents, token, document_id, 2)
    listed = gateway.get(f"{path}/versions", headers=me).json()["versions"]
    assert [item["version"] for item in listed] == [2, 1]
    assert gateway.get(put.headers["location"], headers=me).json()["document"]["version"] == 2
    part = gateway.get(f"{path}/content?version=1", headers={**me, "Range": "bytes=0-99"})
    assert (part.status_code, part.content) == (206, first[:100])
    assert part.headers["etag"] == f'"{vault.sha256(first)}"'
    assert gateway.get(f"{path}/content", headers=me).content == second
    assert gateway.get(f"{path}/receipt?version=1", headers=me).json()["receipt"]["version"] == 1
    for query in ("version=0", "version=x", "other=1", "version=1&version=2"):
        assert gateway.get(f"{path}/content?{query}", headers=me).status_code == 400
    back = gateway.post(f"{path}/versions/1/restore", headers=me, json={})
    assert back.json()["version"]["restoredFrom"] == 1, back.text
    assert gateway.get(f"{path}/content", headers=me).content == first


def test_a_document_that_ends_takes_every_version_with_it(
    documents: Client, token: str, document_id: str, database: Tables, objects: Objects
) -> None:
    deposited(documents, token, document_id, vault.unique_bytes())
    version(documents, token, document_id, 2)
    restore(documents, token, document_id, 1)
    rows = (
        "SELECT content_id::text AS key FROM documents.documents"
        " WHERE document_id = %s OR version_of = %s"
    )
    keys = {row["key"] for row in database.rows(rows, document_id, document_id)}
    assert len(keys) == 2
    assert keys <= objects.keys()
    database.rows(
        "UPDATE documents.documents SET expire_time = now() WHERE document_id = %s", document_id
    )
    eventually(lambda: not database.count(rows, document_id, document_id))
    assert not keys & objects.keys()


def test_what_a_crash_left_of_a_version_is_set_right(
    documents: Client,
    token: str,
    stack: dict[str, Any],
    document_id: str,
    first: bytes,
    database: Tables,
    objects: Objects,
) -> None:
    deposited(documents, token, document_id, vault.unique_bytes())
    version(documents, token, document_id, 2)
    held = objects.keys()
    # As if a process had died between its object and its row.
    orphan = str(uuid.uuid4())
    objects.write(orphan, b"left behind")
    reconcile(stack, grace=0)
    assert orphan not in objects.keys()  # noqa: SIM118
    assert held & {
        row["key"]
        for row in database.rows(
            "SELECT content_id::text AS key FROM documents.documents WHERE version_of = %s",
            document_id,
        )
    }
    assert content(documents, token, document_id, 1) == first


# ---- re-reading -----------------------------------------------------------------------------


DUE = (
    "UPDATE documents.documents SET verified_time = now() - interval '91 days', reread_time = NULL"
    " WHERE content_id = %s"
)
# What is being read is put off for an hour or so; what was found damaged, for a whole period.
SEEN = (
    "SELECT verified_time > now() - interval '1 hour' AS well, damage_time,"
    " reread_time > now() + interval '1 day' AS ended"
    " FROM documents.documents WHERE content_id = %s"
)


def test_rereading_finds_a_flipped_bit_tells_it_once_and_sees_that_it_is_mended(
    documents: Client,
    token: str,
    stack: dict[str, Any],
    gateway: httpx.Client,
    database: Tables,
    objects: Objects,
    document_id: str,
) -> None:
    held = objects.read(document_id)
    objects.write(document_id, flipped(held))
    with tap(internal_options(stack), TOPIC) as topic:
        database.rows(DUE, document_id)
        (record,) = topic.until(
            lambda r: (
                r.key == document_id.encode() and header(r, "ce_type").endswith("DocumentDamaged")
            )
        )
        assert json.loads(record.value)["version"] == 1

        def known() -> bool:
            (row,) = database.rows(SEEN, document_id)
            return row["damage_time"] is not None and bool(row["ended"])

        eventually(known)
        (found,) = versions(documents, token, document_id)
        assert found.HasField("damage_time")
        # Due again, and found again, but told no second time: another document's event ends it.
        database.rows(DUE, document_id)
        eventually(known)
        after = vault.deposit(documents, token, vault.unique_bytes()).document_id
        topic.until(lambda r: r.key == after.encode(), count=2)
        told = once(r for r in topic.records if header(r, "ce_type").endswith("DocumentDamaged"))
        assert [r.key for r in told] == [document_id.encode()]

    eventually(lambda: inbox(gateway, token).count("DocumentDamaged") == 1)
    objects.write(document_id, held)
    database.rows(DUE, document_id)

    def well() -> bool:
        (row,) = database.rows(SEEN, document_id)
        return bool(row["well"]) and row["damage_time"] is None

    eventually(well)


def test_rereading_finds_an_earlier_version_well(
    documents: Client, token: str, database: Tables, document_id: str
) -> None:
    deposited(documents, token, document_id, vault.unique_bytes())
    version(documents, token, document_id, 2)
    database.rows(DUE, document_id)
    eventually(lambda: database.rows(SEEN, document_id)[0]["well"])
