"""Many deposits at once, on real components: each file of a ZIP is a document, once."""

import io
import json
import os
import signal
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import documents_pb2, retention_pb2, unpacking_pb2
from administration.documents.v1.documents_pb2 import Document
from administration.documents.v1.unpacking_pb2 import UnpackedEntry, Unpacking

import deploy.local
from tests.integration.test_usage import Limit
from tests.integration.test_usage import limit as limit
from tests.integration.test_versions import deposited, inbox, version
from tests.support import vault
from tests.support.kafka import header, internal_options, tap
from tests.support.polling import eventually
from tests.support.realm import Realm
from tests.support.rpc import Client, refusal
from tests.support.tables import Tables

TOPIC = "administration.documents.v1.Document"
PROBLEM = unpacking_pb2.EntryProblem.Value


def zipped(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


class Vault:
    """What somebody does with their archives."""

    def __init__(self, documents: Client, token: str) -> None:
        self.documents, self.token = documents, token

    def deposit(self, files: Mapping[str, bytes], **told: str) -> str:
        told = {"name": "pièces.zip", "media_type": "application/zip", **told}
        return vault.deposit(self.documents, self.token, zipped(files), **told).document_id

    def unpack(self, document_id: str, folder: str = "") -> Unpacking:
        request = unpacking_pb2.UnpackDocumentRequest(document_id=document_id, folder=folder)
        found: Unpacking = self.documents.unpack_document(request, token=self.token).unpacking
        return found

    def unpacking(self, document_id: str) -> Unpacking:
        request = unpacking_pb2.GetUnpackingRequest(document_id=document_id)
        found: Unpacking = self.documents.get_unpacking(request, token=self.token).unpacking
        return found

    def ended(self, document_id: str) -> Unpacking:
        def found() -> Unpacking | None:
            unpacking = self.unpacking(document_id)
            return unpacking if unpacking.HasField("end_time") else None

        # What was interrupted, or found no store, is tried again later and later.
        return eventually(found, within=120)

    def entries(self, document_id: str, size: int = 200) -> list[UnpackedEntry]:
        """All of them, in the order of the archive."""
        found: list[UnpackedEntry] = []
        token = ""
        while True:
            page = self.documents.list_unpacked_entries(
                unpacking_pb2.ListUnpackedEntriesRequest(
                    document_id=document_id, page_size=size, page_token=token
                ),
                token=self.token,
            )
            found += page.entries
            token = page.next_page_token
            if not token:
                return found[::-1]

    def all(self) -> list[Document]:
        request = documents_pb2.ListDocumentsRequest(page_size=200)
        return list(self.documents.list_documents(request, token=self.token).documents)


@pytest.fixture
def owned(documents: Client, token: str) -> Vault:
    return Vault(documents, token)


def test_each_file_of_an_archive_becomes_a_document_in_its_folder(
    owned: Vault, stack: dict[str, Any], gateway: httpx.Client
) -> None:
    acte, avis = vault.unique_bytes(50_000), vault.unique_bytes()
    files = {"acte.pdf": acte, "2026/impôts/": b"", "2026/impôts/avis.pdf": avis, "vide.txt": b""}
    archive_id = owned.deposit({**files, "__MACOSX/._acte.pdf": b"x"})
    with tap(internal_options(stack), TOPIC) as topic:
        assert owned.unpack(archive_id, "Mes pièces").folder == "Mes pièces"
        ended = owned.ended(archive_id)
        (message,) = topic.until(
            lambda record: (
                header(record, "ce_type").endswith(".DocumentUnpacked")
                and record.key == archive_id.encode()
            )
        )
    assert (ended.entries, ended.documents, ended.problems) == (3, 2, 1)
    assert ended.state == unpacking_pb2.UNPACKING_STATE_ENDED
    told = json.loads(message.value)
    assert (told["documents"], told["problems"]) == (2, 1)
    assert "failed" not in told

    first, second, empty = owned.entries(archive_id, size=2)
    assert [item.path for item in (first, second, empty)] == [*files][0:1] + [*files][2:]
    assert (empty.document_id, empty.problem) == ("", PROBLEM("ENTRY_PROBLEM_EMPTY"))
    expected = {
        first.document_id: ("acte.pdf", "Mes pièces", acte),
        second.document_id: ("avis.pdf", "Mes pièces/2026/impôts", avis),
    }
    for document_id, (name, folder, data) in expected.items():
        document = vault.checked(owned.documents, owned.token, document_id)
        assert (document.name, document.folder) == (name, folder)
        assert document.media_type == "application/pdf"
        assert vault.read(owned.documents, owned.token, document_id)[1] == data
    # The archive itself, and all that it held at once.
    kinds = eventually(
        lambda: kinds if "DocumentUnpacked" in (kinds := inbox(gateway, owned.token)) else None
    )
    assert sorted(kinds) == ["DocumentDeposited", "DocumentUnpacked"]


def test_asked_again_it_makes_nothing_twice_and_tries_what_had_a_problem(
    owned: Vault, limit: Limit
) -> None:
    archive_id = owned.deposit({f"{n}.pdf": vault.unique_bytes(2000) for n in range(3)})
    limit("--items", "3")
    owned.unpack(archive_id)
    ended = owned.ended(archive_id)
    assert (ended.documents, ended.problems) == (2, 1)
    assert owned.entries(archive_id)[-1].problem == PROBLEM("ENTRY_PROBLEM_QUOTA_EXCEEDED")
    limit("--items", "10")
    owned.unpack(archive_id)
    ended = owned.ended(archive_id)
    assert (ended.documents, ended.problems) == (3, 0)
    before = {document.document_id for document in owned.all()}
    owned.unpack(archive_id)
    owned.ended(archive_id)
    assert {document.document_id for document in owned.all()} == before
    assert len(before) == 4


def test_a_file_is_a_document_once_whatever_is_killed(owned: Vault) -> None:
    count = 150
    files = {f"{n}.pdf": vault.unique_bytes(3000) for n in range(count)}
    archive_id = owned.deposit(files)
    owned.unpack(archive_id)
    for enough in (count // 10, count // 2, count * 4 // 5):

        def far(enough: int = enough) -> bool:
            return owned.unpacking(archive_id).documents >= enough

        eventually(far, within=60)
        os.kill(deploy.local.pid("documents"), signal.SIGKILL)
        deploy.local.wait_healthy("documents")
    ended = owned.ended(archive_id)
    assert (ended.entries, ended.documents, ended.problems) == (count, count, 0)
    made = {item.document_id for item in owned.entries(archive_id)}
    found = [document for document in owned.all() if document.document_id != archive_id]
    assert {document.document_id for document in found} == made
    digests = sorted(document.sha256 for document in found)
    assert digests == sorted(map(vault.sha256, files.values()))


def test_a_later_version_is_unpacked_as_itself(owned: Vault) -> None:
    archive_id = owned.deposit({"a.pdf": vault.unique_bytes()})
    owned.unpack(archive_id)
    owned.ended(archive_id)
    later = zipped({"b.pdf": vault.unique_bytes(), "c.pdf": vault.unique_bytes()})
    deposited(owned.documents, owned.token, archive_id, later, media_type="application/zip")
    version(owned.documents, owned.token, archive_id, 2)
    owned.unpack(archive_id)
    assert owned.ended(archive_id).documents == 2
    assert [item.path for item in owned.entries(archive_id)] == ["b.pdf", "c.pdf"]
    assert len(owned.all()) == 4


def test_what_can_not_be_unpacked_is_refused(owned: Vault, realm: Realm) -> None:
    def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str, dict[str, str]]:
        found = refusal(call)
        return found.code, found.reason, found.fields

    pdf = vault.deposit(owned.documents, owned.token, vault.unique_bytes()).document_id
    archive_id = owned.deposit({"a.pdf": vault.unique_bytes()})
    invalid, missing = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
    assert refused(lambda: owned.unpack(pdf)) == (invalid, "INVALID_INPUT", {"document_id": "TYPE"})
    deep = "/".join("abcdefghi")
    assert refused(lambda: owned.unpack(archive_id, deep))[2] == {"folder": "DEPTH"}
    assert refused(lambda: owned.unpacking(archive_id))[:2] == (missing, "UNPACKING_NOT_FOUND")
    stranger = Vault(owned.documents, realm.token("stranger"))
    owned.unpack(archive_id)
    for call in (stranger.unpack, stranger.unpacking, stranger.entries):
        assert refused(partial(call, archive_id))[:2] == (missing, "DOCUMENT_NOT_FOUND")
    owned.ended(archive_id)
    owned.documents.delete_document(
        retention_pb2.DeleteDocumentRequest(document_id=archive_id), token=owned.token
    )
    assert refused(lambda: owned.unpack(archive_id))[1] == "DOCUMENT_TRASHED"


def test_an_archive_that_ends_takes_what_is_known_of_its_unpacking(
    owned: Vault, database: Tables
) -> None:
    archive_id = owned.deposit({"privé.pdf": vault.unique_bytes()})
    owned.unpack(archive_id)
    owned.ended(archive_id)
    (entry,) = owned.entries(archive_id)
    database.rows(
        "UPDATE documents.documents SET expire_time = now() WHERE document_id = %s", archive_id
    )
    known = "SELECT 1 FROM documents.unpacked_entries WHERE archive_id = %s"
    eventually(lambda: database.count(known, archive_id) == 0)
    # The documents are their owner's as any other.
    assert vault.checked(owned.documents, owned.token, entry.document_id).name == "privé.pdf"


def test_a_store_that_is_down_is_waited_for(owned: Vault, gateway: httpx.Client) -> None:
    data = vault.unique_bytes()
    archive_id = owned.deposit({"a.pdf": data})
    deploy.local.stop("minio")
    try:
        owned.unpack(archive_id)
        answer = gateway.get(
            f"/v1/documents/{archive_id}/unpacking",
            headers={"Authorization": f"Bearer {owned.token}"},
        ).json()
    finally:
        deploy.local.start("minio")
    assert answer["unpacking"]["state"] == "UNPACKING_STATE_RUNNING"
    ended = owned.ended(archive_id)
    assert (ended.documents, ended.problems) == (1, 0)
