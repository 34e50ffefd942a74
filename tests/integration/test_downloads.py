"""Files that are made when they are asked for: archives of documents, receipts on paper."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import downloads_pb2, finding_pb2
from click.testing import CliRunner
from pypdf import PdfReader

from backbone.receipts.cli import verify
from deploy.local.clamav import EICAR
from tests.integration.test_sealed_contents import flipped
from tests.integration.test_versions import deposited, version
from tests.support import vault
from tests.support.objects import Objects
from tests.support.realm import Realm
from tests.support.rpc import Client, refusal


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def archive(gateway: httpx.Client, token: str, *ids: str, **asked: str) -> httpx.Response:
    query = {"documentIds": list(ids), **asked}
    return gateway.get("/v1/documents/archive", params=query, headers=bearer(token))


def opened(response: httpx.Response) -> dict[str, bytes]:
    assert response.status_code == 200, response.text
    with zipfile.ZipFile(io.BytesIO(response.content)) as held:
        assert held.testzip() is None
        return {name: held.read(name) for name in held.namelist()}


def test_an_archive_has_every_document_that_can_be_read(
    gateway: httpx.Client, documents: Client, token: str
) -> None:
    data = [vault.unique_bytes(300_000) for _ in range(3)]
    ids = [
        vault.deposit(documents, token, item, name=name).document_id
        for item, name in zip(data, ("acte.pdf", "Acte.pdf", "été.pdf"), strict=True)
    ]
    newer = vault.unique_bytes()
    deposited(documents, token, ids[2], newer)
    version(documents, token, ids[2], 2)
    refused = vault.sent(documents, token, EICAR, media_type="text/plain", name="note.txt")
    vault.checked(documents, token, refused.document_id)
    response = archive(gateway, token)
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"].startswith("attachment; filename=")
    assert "content-length" not in response.headers
    # Newest first: the first one to come keeps its name.
    assert opened(response) == {
        "été.pdf": newer,
        "Acte.pdf": data[1],
        "acte (2).pdf": data[0],
    }
    assert opened(archive(gateway, token, ids[1], ids[0], ids[1])) == {
        "Acte.pdf": data[1],
        "acte (2).pdf": data[0],
    }
    named = archive(gateway, token, refused.document_id)
    assert (named.status_code, named.json()["reason"]) == (409, "DOCUMENT_REFUSED")


def test_an_archive_of_a_folder_has_its_documents_where_they_are(
    gateway: httpx.Client, documents: Client, token: str
) -> None:
    data = [vault.unique_bytes() for _ in range(4)]
    for item, folder in zip(data, ("", "Impôts", "Impôts/2026", "Impôts/2026"), strict=True):
        document = vault.deposit(documents, token, item)
        request = finding_pb2.UpdateDocumentRequest(document_id=document.document_id, folder=folder)
        documents.update_document(request, token=token)
    expected = {"Impôts/acte.pdf": data[1], "Impôts/2026/acte.pdf": data[3]}
    expected["Impôts/2026/acte (2).pdf"] = data[2]
    assert opened(archive(gateway, token, folder="Impôts", subfolders="true")) == expected
    assert opened(archive(gateway, token, folder="Impôts")) == {"Impôts/acte.pdf": data[1]}
    assert opened(archive(gateway, token)) == {**expected, "acte.pdf": data[0]}
    both = archive(gateway, token, document.document_id, label="fiscal")
    assert both.status_code == 400
    assert both.json()["errors"][0]["field"] == "documentIds"


def test_an_archive_is_sent_before_the_last_document_is_read(documents: Client, token: str) -> None:
    for _ in range(3):
        vault.deposit(documents, token, vault.unique_bytes(2 * 1024 * 1024))
    call = documents.archive_documents(downloads_pb2.ArchiveDocumentsRequest(), token=token)
    sizes = [len(message.chunk) for message in call]
    assert sum(sizes) > 6 * 1024 * 1024
    assert max(sizes) < 1024 * 1024


def test_an_archive_with_a_damaged_document_never_passes_for_whole(
    gateway: httpx.Client, documents: Client, token: str, objects: Objects
) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes(600_000)).document_id
    objects.write(document_id, flipped(objects.read(document_id)))
    with pytest.raises(httpx.RemoteProtocolError):
        archive(gateway, token, document_id)


def test_nobody_archives_anothers_documents(documents: Client, token: str, realm: Realm) -> None:
    mine = vault.deposit(documents, token, vault.unique_bytes()).document_id
    with realm.person() as stranger:
        other = realm.token_of(stranger)
        request = downloads_pb2.ArchiveDocumentsRequest(document_ids=[mine])
        refused = refusal(lambda: documents.archive_documents(request, token=other))
        assert refused.code == grpc.StatusCode.NOT_FOUND
        everything = documents.archive_documents(
            downloads_pb2.ArchiveDocumentsRequest(), token=other
        )
        _, *chunks = everything
        with zipfile.ZipFile(io.BytesIO(b"".join(m.chunk for m in chunks))) as held:
            assert held.namelist() == []


def test_a_receipt_on_paper_is_verified_offline_with_its_file(
    gateway: httpx.Client,
    documents: Client,
    token: str,
    realm: Realm,
    stack: dict[str, Any],
    tmp_path: Path,
) -> None:
    first, second = vault.unique_bytes(), vault.unique_bytes()
    document_id = vault.deposit(documents, token, first, name="Acte de vente.pdf").document_id
    deposited(documents, token, document_id, second)
    version(documents, token, document_id, 2)
    path = f"/v1/documents/{document_id}/receipt"
    receipt = gateway.get(f"{path}?version=1", headers=bearer(token)).json()["receipt"]
    paper = gateway.get(f"{path}.pdf?version=1", headers=bearer(token))
    assert paper.status_code == 200, paper.text
    assert paper.headers["content-type"] == "application/pdf"
    assert int(paper.headers["content-length"]) == len(paper.content)
    (page,) = PdfReader(io.BytesIO(paper.content)).pages
    assert "Acte de vente.pdf" in page.extract_text()
    recu, file = tmp_path / "recu.pdf", tmp_path / "acte.pdf"
    recu.write_bytes(paper.content)
    key = json.loads(gateway.get("/v1/receipts/checkpoint").text)["key"]
    for content, code in ((first, 0), (second, 1)):
        file.write_bytes(content)
        done = CliRunner().invoke(verify, [str(recu), str(file), "--key", key])
        assert done.exit_code == code, done.output
    assert receipt["sha256"] in page.extract_text().replace("\n", "")
    head = gateway.head(f"{path}.pdf", headers=bearer(token))
    assert (head.status_code, head.content) == (200, b"")
    with realm.person() as stranger:
        refused = gateway.get(f"{path}.pdf", headers=bearer(realm.token_of(stranger)))
    assert (refused.status_code, refused.json()["reason"]) == (404, "DOCUMENT_NOT_FOUND")
