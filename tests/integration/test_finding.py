"""Order and finding on the real stack: folders, labels, words, previews, and who sees them not."""

import hashlib
import io
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, LiteralString

import grpc
import httpx
import pytest
from administration.documents.v1 import documents_pb2, finding_pb2
from administration.documents.v1.documents_pb2 import Document
from PIL import Image

from tests.support import readable, vault
from tests.support.keyring import keyring
from tests.support.organisations import Side
from tests.support.polling import brief, eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, refusal, refused_for
from tests.support.tables import Tables

Put = Callable[..., Document]


@pytest.fixture
def put(documents: Client, token: str, database: Tables) -> Put:
    """Deposits a document of `person`, who can then find it."""

    def deposited(
        data: bytes, name: str = "acte.pdf", media_type: str = "application/pdf"
    ) -> Document:
        document = vault.deposit(documents, token, data, name=name, media_type=media_type)
        eventually(lambda: is_indexed(database, document.document_id), within=60)
        return document

    return deposited


def is_indexed(database: Tables, document_id: str) -> bool:
    query = "SELECT 1 FROM documents.documents WHERE document_id = %s AND index_time IS NULL"
    return database.count(query, document_id) == 1


def found(documents: Client, token: str, q: str, **filters: Any) -> list[str]:
    request = finding_pb2.SearchDocumentsRequest(q=q, **filters)
    answer = documents.search_documents(request, token=token)
    return [document.document_id for document in answer.documents]


def update(documents: Client, token: str, document_id: str, **fields: Any) -> Document:
    request = finding_pb2.UpdateDocumentRequest(document_id=document_id, **fields)
    answer: documents_pb2.UpdateDocumentResponse = documents.update_document(request, token=token)
    return answer.document


# ---- words --------------------------------------------------------------------------------------


def test_a_document_is_found_by_what_it_says_and_by_its_name(
    documents: Client, token: str, put: Put
) -> None:
    text = "L’avis d’imposition des époux Désirée est définitif : 1 250 euros"
    notice = put(readable.pdf(text), "Impôt_sur-le-revenu.pdf").document_id
    other = put(readable.docx("Facture d'électricité"), "facture.docx", readable.WORD).document_id
    for q in (
        "imposition", "impositions", "IMPOSITION", "époux", "epoux", "l'avis", "l’avis",
        '"avis d\'imposition"', "définitifs", "impot revenu", "impôts", "1250 or 250",
        "cadastre or imposition -électricité", "avis -facture", "impot-sur-le-revenu.pdf",
    ):  # fmt: skip
        assert found(documents, token, q) == [notice], q
    assert found(documents, token, "électricités") == [other]
    assert set(found(documents, token, "facture or imposition")) == {notice, other}
    # `or` joins what stands on its two sides: the minus is of the second alone.
    assert set(found(documents, token, "facture or imposition -électricité")) == {notice, other}
    for q in ("cadastre", '"imposition avis"', "avis -imposition", "avis facture", "imposit"):
        assert found(documents, token, q) == [], q


def test_nobody_else_finds_it_and_the_tables_hold_no_word_of_it(
    documents: Client, token: str, person: Person, put: Put, realm: Realm, database: Tables
) -> None:
    document_id = put(readable.pdf("Bulletin zygomatique")).document_id
    assert found(documents, token, "zygomatique") == [document_id]
    assert found(documents, realm.token("stranger"), "zygomatique") == []
    with realm.person() as other:
        copy = vault.deposit(documents, realm.token_of(other), readable.pdf("Bulletin zygomatique"))
        eventually(lambda: is_indexed(database, copy.document_id), within=60)
        query = "SELECT lexemes::text FROM documents.search_entries WHERE document_id = %s"
        ((mine,), (others,)) = (
            [row["lexemes"] for row in database.rows(query, each)]
            for each in (document_id, copy.document_id)
        )
    assert "zygomat" not in mine
    # The same words of two persons have nothing in common.
    assert not words_of(mine) & words_of(others)
    (key,) = database.rows(
        "SELECT sealed_key FROM documents.search_keys WHERE owner_id = %s", person.account_id
    )
    assert len(key["sealed_key"]) > 32


def words_of(lexemes: str) -> set[str]:
    return {word.partition(":")[0] for word in lexemes.split()}


def test_the_best_come_first_page_by_page(documents: Client, token: str, put: Put) -> None:
    named = put(readable.pdf("rien"), "cadastre.pdf").document_id
    texts = [put(readable.pdf("plan du cadastre", str(number))).document_id for number in range(4)]
    request = finding_pb2.SearchDocumentsRequest(q="cadastre", page_size=2)
    pages = []
    while True:
        answer = documents.search_documents(request, token=token)
        pages.append([document.document_id for document in answer.documents])
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [each for page in pages for each in page] == [named, *reversed(texts)]


def test_a_renewed_key_and_a_restored_search(
    documents: Client, token: str, person: Person, put: Put, database: Tables, stack: dict[str, Any]
) -> None:
    document_id = put(readable.pdf("Titre de pension")).document_id
    newest = keyring(stack, "renew", person.account_id).split()[-1]
    query = "SELECT 1 FROM documents.search_keys WHERE owner_id = %s AND owner_key_id = %s"
    eventually(lambda: database.count(query, person.account_id, newest))
    assert found(documents, token, "pension") == [document_id]


def test_a_destroyed_key_leaves_nothing_to_find(
    documents: Client, token: str, person: Person, put: Put, stack: dict[str, Any]
) -> None:
    document_id = put(readable.pdf("Titre de pension")).document_id
    keyring(stack, "destroy", "--yes", person.account_id)

    search = finding_pb2.SearchDocumentsRequest(q="pension")
    eventually(
        lambda: refused_for(lambda: documents.search_documents(search, token=token), "ERASED")
    )
    request = finding_pb2.GetPreviewRequest(document_id=document_id)
    assert refusal(lambda: documents.get_preview(request, token=token)).reason == "ERASED"


@pytest.mark.parametrize("q", ["le la de", "-", '""', "!!!", "&|<->"])
def test_a_search_without_a_word_is_refused(q: str, documents: Client, citizen_token: str) -> None:
    request = finding_pb2.SearchDocumentsRequest(q=q)
    refused = refusal(lambda: documents.search_documents(request, token=citizen_token))
    assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, {"q": "WORDS"})


# ---- what cannot be read ------------------------------------------------------------------------


def test_a_document_that_cannot_be_read_is_found_by_its_name(
    documents: Client, token: str, put: Put
) -> None:
    damaged = put(vault.unique_bytes(5000), "ruine.pdf").document_id
    assert found(documents, token, "ruine") == [damaged]
    request = finding_pb2.GetPreviewRequest(document_id=damaged)
    refused = refusal(lambda: documents.get_preview(request, token=token))
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "PREVIEW_NONE")


def test_a_document_that_takes_its_process_down_is_given_up(
    documents: Client, token: str, put: Put, database: Tables
) -> None:
    document_id = put(readable.pdf("effondrement"), "tours.pdf").document_id
    # As three processes leave it that died while they read it.
    database.rows(
        "UPDATE documents.documents SET index_tries = 3, index_time = now() WHERE document_id = %s",
        document_id,
    )
    eventually(lambda: is_indexed(database, document_id))
    assert found(documents, token, "tours") == [document_id]
    assert found(documents, token, "effondrement") == []


def test_documents_with_nothing_to_read_are_found_by_their_names_whatever_another_one_does(
    documents: Client, token: str, friend: Person, realm: Realm, database: Tables
) -> None:
    def put(token: str, name: str) -> str:
        data = secrets.token_bytes(500)
        media_type = "application/octet-stream"
        return vault.deposit(documents, token, data, name=name, media_type=media_type).document_id

    theirs = put(realm.token_of(friend), "Tableau.bin")
    ours = [put(token, f"Relevé {number}.bin") for number in range(3)]
    for document_id in (theirs, *ours):
        eventually(partial(is_indexed, database, document_id))
    assert set(found(documents, token, "relevé")) == set(ours)

    # They are due together, and one of them cannot be indexed: its owner's search key is altered.
    database.rows(
        "UPDATE documents.search_keys SET sealed_key = %s WHERE owner_id = %s",
        b"altered", friend.account_id,
    )  # fmt: skip
    database.rows("DELETE FROM documents.search_entries WHERE document_id = ANY(%s)", ours)
    database.rows(
        "UPDATE documents.documents SET index_time = now(), index_tries = 0"
        " WHERE document_id = ANY(%s)",
        [theirs, *ours],
    )
    for document_id in (theirs, *ours):
        eventually(partial(is_indexed, database, document_id))
    assert set(found(documents, token, "relevé")) == set(ours)
    request = finding_pb2.SearchDocumentsRequest(q="tableau")
    refused = refusal(lambda: documents.search_documents(request, token=realm.token_of(friend)))
    assert refused.code == grpc.StatusCode.DATA_LOSS


# ---- order --------------------------------------------------------------------------------------


def test_a_document_is_renamed_and_put_where_its_owner_finds_it(
    gateway: httpx.Client, token: str, put: Put
) -> None:
    document_id = put(readable.pdf("Avis")).document_id
    headers = {"Authorization": f"Bearer {token}"}

    def patched(**body: Any) -> dict[str, Any]:
        answer = gateway.patch(f"/v1/documents/{document_id}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()["document"]
        again = gateway.get(f"/v1/documents/{document_id}", headers=headers).json()["document"]
        assert told == again
        return told

    def ids(path: str, **parameters: Any) -> list[str]:
        answer = gateway.get(path, params=parameters, headers=headers)
        assert answer.status_code == 200, answer.text
        return [each["documentId"] for each in answer.json().get("documents", [])]

    told = patched(
        name="Avis 2026.pdf",
        folder="/Impôts/2026/",
        labels=["à payer", "à payer"],
        metadata=[{"key": "notaire", "value": "Maître Célimène"}],
    )
    assert (told["name"], told["folder"]) == ("Avis 2026.pdf", "Impôts/2026")
    assert told["labels"] == ["à payer"]
    assert told["metadata"] == [{"key": "notaire", "value": "Maître Célimène"}]
    # Found by it at once, and by what it says still.
    for q in ("2026", "impôts", "payer", "célimène", "notaire", "avis"):
        assert ids("/v1/documents/search", q=q) == [document_id], q
    assert ids("/v1/documents/search", q="avis", folder="Impôts", subfolders="true") == [
        document_id
    ]
    assert ids("/v1/documents/search", q="avis", folder="Impôts") == []
    assert ids("/v1/documents/search", q="avis", label="à payer") == [document_id]
    assert ids("/v1/documents/search", q="avis", label="payé") == []
    assert ids("/v1/documents", folder="Impôts/2026") == [document_id]
    assert ids("/v1/documents", folder="Impôts") == []
    assert ids("/v1/documents", folder="Impôts", subfolders="true") == [document_id]
    assert ids("/v1/documents", folder="Impô", subfolders="true") == []
    assert ids("/v1/documents", folder="/") == []
    assert ids("/v1/documents", label="à payer") == [document_id]

    # What the request has is set; what is to be empty is named.
    told = patched(labels=["payé"])
    assert (told["folder"], told["labels"]) == ("Impôts/2026", ["payé"])
    told = patched(updateMask="folder,metadata")
    assert told["labels"] == ["payé"]
    assert not told.get("folder")
    assert not told.get("metadata")
    assert ids("/v1/documents", folder="/") == [document_id]
    assert ids("/v1/documents/search", q="célimène") == []


def test_folders_are_listed_by_their_paths(documents: Client, token: str, put: Put) -> None:
    folders = ["Caf", "Impôts", "Impôts/2025", "Impôts/2026"]
    for folder in (*folders, "Caf", ""):
        update(documents, token, put(readable.pdf("a")).document_id, folder=folder)
    listed = []
    request = finding_pb2.ListFoldersRequest(page_size=3)
    while True:
        answer = documents.list_folders(request, token=token)
        listed += [(folder.path, folder.documents) for folder in answer.folders]
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert dict(listed) == {"Caf": 2, "Impôts": 1, "Impôts/2025": 1, "Impôts/2026": 1}
    assert len(listed) == 4


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"folder": "a/../b"}, {"folder": "NAME"}),
        ({"folder": "a" * 256}, {"folder": "MAX_LENGTH"}),
        ({"labels": ["a"] * 21}, {"labels": "MAX_ITEMS"}),
        ({"labels": ["a" * 51]}, {"labels": "MAX_LENGTH"}),
        ({"metadata": [{"key": ""}]}, {"metadata[0].key": "REQUIRED"}),
        ({"metadata": [{"key": "a"}, {"key": "a"}]}, {"metadata": "KEY_TWICE"}),
        ({"name": "acte.exe"}, {"name": "EXTENSION"}),
        ({"update_mask": {"paths": ["name"]}}, {"name": "NAME"}),
        ({"update_mask": {"paths": ["owner_id"]}}, {"update_mask": "FIELDS"}),
    ],
    ids=brief,
)
def test_a_wrong_change_is_refused_by_its_field(
    values: dict[str, Any], fields: dict[str, str], documents: Client, citizen_token: str
) -> None:
    document = vault.deposit(documents, citizen_token, vault.unique_bytes())
    refused = refusal(lambda: update(documents, citizen_token, document.document_id, **values))
    assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)


def test_where_an_owner_puts_it_is_not_for_others(
    documents: Client, token: str, put: Put, realm: Realm
) -> None:
    document_id = put(readable.pdf("Avis")).document_id
    update(documents, token, document_id, folder="Divorce", labels=["avocat"])
    end = datetime.now(UTC) + timedelta(hours=1)
    shared = documents_pb2.ShareDocumentRequest(
        document_id=document_id, administration="caf-martinique", purpose="Dossier"
    )
    shared.expire_time.FromDatetime(end)
    documents.share_document(shared, token=token)
    caf = realm.client_token("partner-caf")
    request = documents_pb2.GetDocumentRequest(document_id=document_id)
    seen = documents.get_document(request, token=caf).document
    assert seen.document_id == document_id
    assert "Divorce" not in str(seen)
    assert "avocat" not in str(seen)
    header, _ = vault.read(documents, caf, document_id)
    assert "Divorce" not in str(header)
    change = finding_pb2.UpdateDocumentRequest(document_id=document_id, folder="ailleurs")
    stranger = realm.token("stranger")
    assert refusal(lambda: documents.update_document(change, token=stranger)).reason == (
        "DOCUMENT_NOT_FOUND"
    )


# ---- previews -----------------------------------------------------------------------------------


def test_a_preview_is_read_by_who_may_read_the_document_and_others_are_journaled(
    gateway: httpx.Client, side: Side, put: Put, realm: Realm, database: Tables
) -> None:
    document_id = put(readable.pdf("Attestation")).document_id
    path = f"/v1/documents/{document_id}/preview"
    answer = side.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    assert Image.open(io.BytesIO(answer.content)).format == "WEBP"
    (row,) = database.rows(
        "SELECT sealed FROM documents.previews WHERE document_id = %s", document_id
    )
    assert b"WEBP" not in row["sealed"]

    caf = Side(gateway, realm.client_token("partner-caf"))
    assert caf.get(path).json()["reason"] == "DOCUMENT_NOT_FOUND"
    share = {
        "administration": "caf-martinique",
        "purpose": "Dossier",
        "expireTime": "2999-01-01T00:00:00Z",
    }
    assert side.post(f"/v1/documents/{document_id}/shares", share).status_code == 200
    assert caf.get(path).content == answer.content

    def journaled() -> list[str]:
        entries = side.get("/v1/me/journal").json().get("entries", [])
        return [entry["action"] for entry in entries]

    eventually(lambda: journaled() == ["documents.preview"])


def test_a_preview_that_is_not_there_says_why(
    gateway: httpx.Client, side: Side, put: Put, database: Tables
) -> None:
    document_id = put(b"Bonjour", "note.txt", "text/plain").document_id
    answer = side.get(f"/v1/documents/{document_id}/preview")
    assert (answer.status_code, answer.json()["reason"]) == (404, "PREVIEW_NONE")
    database.rows(
        "UPDATE documents.documents SET index_time = '2999-01-01' WHERE document_id = %s",
        document_id,
    )
    answer = side.get(f"/v1/documents/{document_id}/preview")
    assert (answer.status_code, answer.json()["reason"]) == (404, "PREVIEW_PENDING")
    database.rows(
        "UPDATE documents.documents SET index_time = now() WHERE document_id = %s", document_id
    )
    eventually(lambda: is_indexed(database, document_id))


def test_what_was_found_goes_with_its_document(
    put: Put, person: Person, database: Tables, documents: Client, token: str
) -> None:
    document_id = put(readable.pdf("Attestation")).document_id
    kept = (
        "SELECT 1 FROM documents.search_entries WHERE document_id = %s",
        "SELECT 1 FROM documents.previews WHERE document_id = %s",
    )
    assert all(database.count(query, document_id) for query in kept)
    database.rows(
        "UPDATE documents.documents SET expire_time = now() WHERE document_id = %s", document_id
    )
    assert found(documents, token, "attestation") == []
    for query in kept:
        eventually(partial(_gone, database, query, document_id), within=60)


def _gone(database: Tables, query: LiteralString, document_id: str) -> bool:
    return not database.count(query, document_id)
