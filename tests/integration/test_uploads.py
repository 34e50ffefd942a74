"""Deposits that go straight to the object store, in parts: as a front end sends them."""

from functools import partial
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import deposits_pb2, documents_pb2, uploads_pb2
from administration.documents.v1.uploads_pb2 import Upload, UploadPart

from deploy.local import minio, storage_operator
from deploy.local.clamav import EICAR
from tests.support import vault
from tests.support.kafka import header as header_of
from tests.support.kafka import internal_options, tap
from tests.support.polling import brief, eventually
from tests.support.realm import Realm
from tests.support.rpc import Client, refusal
from tests.support.tables import Tables

PART = 8 * 1024 * 1024


def opened(documents: Client, token: str, data: bytes, **values: Any) -> Upload:
    announced: dict[str, Any] = {
        "name": "acte.pdf",
        "media_type": "application/pdf",
        "size_bytes": len(data),
        "sha256": vault.sha256(data),
    }
    header = uploads_pb2.OpenUploadRequest.Header(**{**announced, **values})
    request = uploads_pb2.OpenUploadRequest(header=header)
    answer: uploads_pb2.OpenUploadResponse = documents.open_upload(request, token=token)
    return answer.upload


def put(part: UploadPart, data: bytes, **fields: str) -> httpx.Response:
    """Sends bytes as the form of a part says."""
    form = {field.name: field.value for field in part.fields} | fields
    return httpx.post(part.url, data=form, files={"file": ("part", data)}, timeout=60)


def send(part: UploadPart, data: bytes) -> None:
    answer = put(part, data[part.offset : part.offset + part.size_bytes])
    assert answer.status_code == 204, answer.text


def complete(
    documents: Client, token: str, document_id: str, sha256: str = ""
) -> documents_pb2.Document:
    request = uploads_pb2.CompleteUploadRequest(document_id=document_id, sha256=sha256)
    answer: documents_pb2.CompleteUploadResponse = documents.complete_upload(request, token=token)
    return answer.document


def get(documents: Client, token: str, document_id: str) -> Upload:
    request = uploads_pb2.GetUploadRequest(document_id=document_id)
    answer: uploads_pb2.GetUploadResponse = documents.get_upload(request, token=token)
    return answer.upload


@pytest.fixture(scope="module")
def quarantined(stack: dict[str, Any]) -> Any:
    """How many parts of a document the quarantine has."""
    client = storage_operator(stack)

    def count(document_id: str) -> int:
        found = client.list_objects(
            bucket_name=minio.QUARANTINE, prefix=f"{document_id}/", recursive=True
        )
        return len(list(found))

    return count


def test_a_document_that_was_sent_to_the_store_is_available_once_it_was_completed(
    documents: Client, token: str, stack: dict[str, Any], quarantined: Any
) -> None:
    data = vault.unique_bytes()
    with tap(internal_options(stack), "administration.documents.v1.Document") as topic:
        upload = opened(documents, token, data)
        (part,) = upload.parts
        assert (part.offset, part.size_bytes, part.present) == (0, len(data), False)
        send(part, data)
        document = complete(documents, token, upload.document_id)
        assert document.state == deposits_pb2.DOCUMENT_STATE_CHECKING
        document = vault.checked(documents, token, upload.document_id)
        records = topic.until(lambda r: r.key == upload.document_id.encode(), count=3)
    assert document.state == deposits_pb2.DOCUMENT_STATE_AVAILABLE
    assert (document.name, document.sha256) == ("acte.pdf", vault.sha256(data))
    assert vault.read(documents, token, upload.document_id)[1] == data
    # Answered again as it was; the quarantine has nothing any more.
    assert complete(documents, token, upload.document_id) == document
    eventually(lambda: quarantined(upload.document_id) == 0)
    assert [header_of(record, "ce_type").rpartition(".")[2] for record in records] == [
        "DepositOpened",
        "DocumentReceived",
        "DocumentDeposited",
    ]


def test_an_upload_that_broke_off_goes_on_with_the_parts_that_are_missing(
    documents: Client, token: str
) -> None:
    data = vault.unique_bytes(PART + 1000)
    upload = opened(documents, token, data)
    assert [(part.offset, part.size_bytes) for part in upload.parts] == [(0, PART), (PART, 1000)]
    send(upload.parts[1], data)
    refused = refusal(lambda: complete(documents, token, upload.document_id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "UPLOAD_INCOMPLETE")

    again = get(documents, token, upload.document_id)
    assert [part.present for part in again.parts] == [False, True]
    send(again.parts[0], data)
    complete(documents, token, upload.document_id)
    document = vault.checked(documents, token, upload.document_id)
    assert document.state == deposits_pb2.DOCUMENT_STATE_AVAILABLE
    assert vault.read(documents, token, upload.document_id)[1] == data


def test_a_document_may_be_hashed_while_it_is_sent(documents: Client, token: str) -> None:
    data = vault.unique_bytes()
    late, early = opened(documents, token, data, sha256=""), opened(documents, token, data)
    for upload in (late, early):
        send(upload.parts[0], data)
    other = "0" * 64
    for upload, sha256, reason in (
        (late, "", "REQUIRED"), (late, "abc", "PATTERN"), (early, other, "MISMATCH"),
    ):  # fmt: skip
        refused = refusal(partial(complete, documents, token, upload.document_id, sha256))
        assert refused.fields == {"sha256": reason}
    for upload in (late, early):
        complete(documents, token, upload.document_id, vault.sha256(data))
        # Asked for again, whatever is told: it was completed.
        again = complete(documents, token, upload.document_id)
        assert again.sha256 == vault.sha256(data)
        document = vault.checked(documents, token, upload.document_id)
        assert document.state == deposits_pb2.DOCUMENT_STATE_AVAILABLE

    wrong = opened(documents, token, data, sha256="")
    send(wrong.parts[0], data)
    complete(documents, token, wrong.document_id, other)
    document = vault.checked(documents, token, wrong.document_id)
    assert document.refusal_reason == deposits_pb2.REFUSAL_REASON_CORRUPTED


def test_the_store_takes_what_was_announced_and_nothing_else(
    documents: Client, token: str, quarantined: Any
) -> None:
    data = vault.unique_bytes()
    upload = opened(documents, token, data)
    (part,) = upload.parts
    assert put(part, data + b"x").status_code == 400
    assert put(part, data[:-1]).status_code == 400
    assert put(part, data, key=f"{upload.document_id}/000001").status_code == 403
    assert put(part, data, key="autre").status_code == 403
    assert quarantined(upload.document_id) == 0
    send(part, data)
    # What is in the quarantine is read by nobody.
    assert httpx.get(f"{part.url}/{upload.document_id}/000000", timeout=30).status_code == 403
    refused = refusal(lambda: vault.read(documents, token, upload.document_id))
    assert refused.reason == "DOCUMENT_NOT_FOUND"


@pytest.mark.parametrize(
    ("data", "values", "reason"),
    [
        (EICAR, {"media_type": "text/plain", "name": "a.txt"}, "MALWARE"),
        (b"%PDF-1.7 autre", {"sha256": "0" * 64}, "CORRUPTED"),
        (b"GIF89a", {}, "TYPE_MISMATCH"),
    ],
    ids=brief,
)
def test_what_the_checks_find_in_an_upload_is_refused(
    data: bytes,
    values: dict[str, Any],
    reason: str,
    documents: Client,
    token: str,
    quarantined: Any,
) -> None:
    upload = opened(documents, token, data, **values)
    send(upload.parts[0], data)
    complete(documents, token, upload.document_id)
    document = vault.checked(documents, token, upload.document_id)
    assert document.refusal_reason == deposits_pb2.RefusalReason.Value(f"REFUSAL_REASON_{reason}")
    refused = refusal(lambda: vault.read(documents, token, upload.document_id))
    assert refused.reason == "DOCUMENT_REFUSED"
    eventually(lambda: quarantined(upload.document_id) == 0)


def test_an_upload_that_is_given_up_leaves_nothing(
    documents: Client, token: str, quarantined: Any
) -> None:
    data = vault.unique_bytes()
    upload = opened(documents, token, data)
    send(upload.parts[0], data)
    request = uploads_pb2.AbandonUploadRequest(document_id=upload.document_id)
    documents.abandon_upload(request, token=token)
    assert quarantined(upload.document_id) == 0
    for attempt in (get, complete):
        refused = refusal(lambda: attempt(documents, token, upload.document_id))  # noqa: B023
        assert refused.reason == "UPLOAD_NOT_FOUND"


def test_an_upload_that_nobody_completes_is_forgotten(
    documents: Client, token: str, database: Tables, quarantined: Any
) -> None:
    data = vault.unique_bytes()
    upload = opened(documents, token, data)
    send(upload.parts[0], data)
    query = "UPDATE documents.uploads SET expire_time = now() WHERE document_id = %s"
    database.rows(query, upload.document_id)
    refused = refusal(lambda: complete(documents, token, upload.document_id))
    assert refused.reason == "UPLOAD_NOT_FOUND"
    rows = "SELECT 1 FROM documents.uploads WHERE document_id = %s"
    eventually(lambda: not database.count(rows, upload.document_id))
    eventually(lambda: quarantined(upload.document_id) == 0)


def test_an_upload_is_its_owners_alone(documents: Client, token: str, realm: Realm) -> None:
    upload = opened(documents, token, vault.unique_bytes())
    stranger = realm.token("stranger")
    for attempt in (get, complete):
        refused = refusal(partial(attempt, documents, stranger, upload.document_id))
        assert refused.reason == "UPLOAD_NOT_FOUND"


@pytest.mark.parametrize(
    ("values", "field", "reason"),
    [
        ({"size_bytes": 0}, "header.size_bytes", "REQUIRED"),
        ({"sha256": "abc"}, "header.sha256", "PATTERN"),
        ({"name": "../.."}, "name", "NAME"),
        ({"name": ""}, "header.name", "REQUIRED"),
        ({"media_type": "pdf"}, "header.media_type", "PATTERN"),
        # Beyond what the antivirus scans: it would be refused in the end.
        ({"size_bytes": 101 * 1024 * 1024}, "header.size_bytes", "TOO_LARGE"),
    ],
    ids=brief,
)
def test_an_upload_that_cannot_become_a_document_is_not_opened(
    values: dict[str, Any], field: str, reason: str, documents: Client, token: str
) -> None:
    refused = refusal(lambda: opened(documents, token, b"%PDF-1.7", **values))
    assert refused.fields == {field: reason}


def test_nobody_has_too_many_uploads_open(documents: Client, token: str) -> None:
    for _ in range(20):
        opened(documents, token, b"%PDF-1.7")
    refused = refusal(lambda: opened(documents, token, b"%PDF-1.7"))
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED
