"""What becomes of a deposit on the real antivirus and the real store: nothing is read unchecked."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import deposits_pb2, documents_pb2
from administration.notifications.v1 import notifications_pb2
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import deploy.local
from deploy.local import storage_operator
from deploy.local.clamav import EICAR
from drills.vault_crash import reconcile
from services.documents.deposits import Deposits
from tests.integration.test_documents_service import share
from tests.support import files, vault
from tests.support.kafka import header, internal_options, tap
from tests.support.objects import Objects
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, refusal
from tests.support.tables import Tables

TOPIC = "administration.documents.v1.Document"
CHECKING = deposits_pb2.DOCUMENT_STATE_CHECKING
AVAILABLE = deposits_pb2.DOCUMENT_STATE_AVAILABLE
REFUSED = deposits_pb2.DOCUMENT_STATE_REFUSED
ZIP = "application/zip"


@pytest.fixture
def no_antivirus(stack: dict[str, Any]) -> Iterator[None]:
    """While the antivirus is away; it is back afterwards."""
    deploy.local.stop("clamav")
    yield
    deploy.local.start("clamav")
    deploy.local.wait_healthy("documents")


def unread(documents: Client, token: str, document_id: str) -> set[str]:
    """Why nobody can read, share or prove a document."""
    return {
        refusal(lambda: vault.read(documents, token, document_id)).reason,
        refusal(lambda: share(documents, token, document_id)).reason,
    }


BAD: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "EICAR": (lambda: EICAR, "text/plain", "MALWARE"),
    "EICAR in an archive": (lambda: files.zipped({"facture.txt": EICAR}), ZIP, "MALWARE"),
    "EICAR in an archive in an archive": (files.eicar_nested, ZIP, "MALWARE"),
    "a bomb": (files.bomb, ZIP, "ARCHIVE_BOMB"),
    "50,000 entries": (lambda: files.many(50_000), ZIP, "ARCHIVE_BOMB"),
    "names that lead out": (lambda: files.zipped({"../a": b"b"}), ZIP, "ARCHIVE_NAMES"),
    "a PDF that is JavaScript": (
        lambda: b"/*\n" + files.PDF + b"*/ alert(1)", "application/javascript", "POLYGLOT",
    ),
    "an SVG with a script": (
        lambda: files.SVG.replace(b"<rect", b"<script>a()</script><rect"), "image/svg+xml",
        "ACTIVE_CONTENT",
    ),
    "a PNG said to be a PDF": (lambda: files.PNG, "application/pdf", "TYPE_MISMATCH"),
    "a program": (lambda: b"MZ" + bytes(500), "application/octet-stream", "EXECUTABLE"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_the_checks_find_is_refused_and_never_read(
    case: str, documents: Client, token: str, objects: Objects
) -> None:
    make, media_type, reason = BAD[case]
    sent = vault.sent(documents, token, make(), media_type=media_type, name="piece")
    document = vault.checked(documents, token, sent.document_id)
    assert document.state == REFUSED
    assert deposits_pb2.RefusalReason.Name(document.refusal_reason) == f"REFUSAL_REASON_{reason}"
    assert unread(documents, token, document.document_id) == {"DOCUMENT_REFUSED"}
    receipt = documents_pb2.GetReceiptRequest(document_id=document.document_id)
    refused = refusal(lambda: documents.get_receipt(receipt, token=token))
    assert refused.reason == "DOCUMENT_REFUSED"
    eventually(lambda: document.document_id not in objects.keys())  # noqa: SIM118


def test_a_document_with_macros_is_available_with_a_remark(documents: Client, token: str) -> None:
    data = files.word(word__vbaProject_bin=b"macro")
    document = vault.deposit(documents, token, data, media_type=files.WORD, name="lettre.docm")
    assert list(document.remarks) == [deposits_pb2.REMARK_MACROS]
    assert vault.read(documents, token, document.document_id)[1] == data


def test_each_change_of_a_deposit_is_an_event_and_its_depositor_is_told_why(
    documents: Client,
    notifications: Client,
    token: str,
    stack: dict[str, Any],
) -> None:
    with tap(internal_options(stack), TOPIC) as topic:
        bad = vault.sent(documents, token, EICAR, media_type="text/plain", name="Divorce.txt")
        good = vault.sent(documents, token, vault.unique_bytes(), name="Divorce.pdf")
        ours = [item.document_id.encode() for item in (bad, good)]
        records = topic.until(lambda record: record.key in ours, count=4)
    told = {
        key: [
            header(record, "ce_type").rpartition(".")[2] for record in records if record.key == key
        ]
        for key in ours
    }
    assert told[ours[0]] == ["DocumentReceived", "DocumentRefused"]
    assert told[ours[1]] == ["DocumentReceived", "DocumentDeposited"]
    assert "Divorce" not in str(records)
    (reason,) = [
        json.loads(r.value)["refusalReason"] for r in records if b"refusalReason" in r.value
    ]
    assert reason == "REFUSAL_REASON_MALWARE"

    def entry() -> Any:
        answer = notifications.list_inbox(notifications_pb2.ListInboxRequest(), token=token)
        return next((e for e in answer.entries if e.kind == "DocumentRefused"), None)

    entry_found = eventually(entry)
    assert entry_found.entity_id == bad.document_id
    assert entry_found.subject == "Votre document a été refusé"
    assert "l’antivirus y a trouvé un programme malveillant" in entry_found.body


def metric(stack: dict[str, Any], name: str) -> float:
    text = httpx.get(f"{stack['services']['documents']['ops']}/metrics", timeout=60).text
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.rpartition(" ")[2])


def test_without_the_antivirus_deposits_wait_unread_and_are_checked_when_it_is_back(
    documents: Client,
    token: str,
    stack: dict[str, Any],
    no_antivirus: None,
) -> None:
    data = vault.unique_bytes()
    sent = vault.sent(documents, token, data)
    assert sent.state == CHECKING
    eventually(lambda: metric(stack, "antivirus_up") == 0.0)
    eventually(lambda: metric(stack, "document_check_oldest_seconds") > 0.0)
    assert unread(documents, token, sent.document_id) == {"DOCUMENT_CHECKING"}
    refused = refusal(lambda: vault.read(documents, token, sent.document_id))
    assert refused.code == grpc.StatusCode.ABORTED
    # Taken all the same, and nothing else is: the service is ready, and says what it misses.
    ready = httpx.get(f"{stack['services']['documents']['ops']}/readyz", timeout=60)
    assert ready.status_code == 200
    assert "antivirus" in ready.json()["Checking"]
    # A process that dies leaves nothing unchecked behind.
    deploy.local.restart("documents")
    request = documents_pb2.GetDocumentRequest(document_id=sent.document_id)
    assert documents.get_document(request, token=token).document.state == CHECKING

    deploy.local.start("clamav")
    document = vault.checked(documents, token, sent.document_id)
    assert document.state == AVAILABLE
    assert vault.read(documents, token, sent.document_id)[1] == data
    eventually(lambda: metric(stack, "antivirus_up") == 1.0)


def test_two_replicas_never_check_the_same_deposit_at_once(
    documents: Client, token: str, stack: dict[str, Any], no_antivirus: None
) -> None:
    sent = {vault.sent(documents, token, vault.unique_bytes()).document_id for _ in range(3)}
    # As many connections as deposits wait, those of other tests too.
    engine = create_engine(stack["postgres"]["databases"]["documents"], poolclass=NullPool)
    claimed: list[str] = []
    with ExitStack() as open_at_once:

        def all_claimed() -> bool:
            session = Session(engine)
            if rows := Deposits(session).next_to_check():
                open_at_once.enter_context(session)
                claimed.extend(str(row.document_id) for row in rows)
            else:
                # What waits for its next try is not to take every connection.
                session.close()
            return sent <= set(claimed)

        eventually(all_claimed)
        with Session(engine) as session:
            claimed.extend(str(row.document_id) for row in Deposits(session).next_to_check())
    engine.dispose()
    assert len(claimed) == len(set(claimed))


def test_those_that_wait_together_are_checked_each_for_itself(
    documents: Client, token: str, friend: Person, realm: Realm, no_antivirus: None
) -> None:
    theirs = realm.token_of(friend)
    good = [(token, vault.unique_bytes()), (theirs, vault.unique_bytes())] * 3
    bad = [(token, EICAR), (theirs, EICAR + b" "), (token, b"MZ" + bytes(500))]
    sent = [
        (whose, vault.sent(documents, whose, data, media_type="application/octet-stream"))
        for whose, data in (*good[:3], *bad, *good[3:])
    ]
    deploy.local.start("clamav")
    states = [vault.checked(documents, whose, item.document_id).state for whose, item in sent]
    assert states == [AVAILABLE] * 3 + [REFUSED] * 3 + [AVAILABLE] * 3


def test_a_store_that_gives_other_bytes_is_found_out(
    documents: Client, token: str, stack: dict[str, Any], no_antivirus: None
) -> None:
    sent = vault.sent(documents, token, vault.unique_bytes())
    storage = stack["storage"]
    client = storage_operator(stack)
    place = {"bucket_name": storage["bucket"], "object_name": sent.document_id}
    size = client.stat_object(**place).size
    assert size
    other = io.BytesIO(vault.unique_bytes(size))
    client.put_object(**place, data=other, length=size)
    deploy.local.start("clamav")
    document = vault.checked(documents, token, sent.document_id)
    assert document.state == REFUSED
    assert document.refusal_reason == deposits_pb2.REFUSAL_REASON_CORRUPTED


# ---- what a crash leaves -------------------------------------------------------------------------


def test_what_a_crash_left_is_set_right_and_nothing_else_is_touched(
    documents: Client,
    token: str,
    stack: dict[str, Any],
    database: Tables,
    objects: Objects,
    no_antivirus: None,
) -> None:
    data = vault.unique_bytes()
    kept = vault.sent(documents, token, data).document_id
    orphan, lost = vault.sent(documents, token, data), vault.sent(documents, token, data)
    # As if the row had never been committed; as if the store had lost the object.
    database.rows("DELETE FROM documents.documents WHERE document_id = %s", orphan.document_id)
    objects.remove(lost.document_id)
    aged = "UPDATE documents.documents SET deposit_time = deposit_time - interval '1 h' "
    database.rows(aged + "WHERE document_id = %s", lost.document_id)

    reconcile(stack, grace=3600)
    # It may be on its way: its row comes after it.
    assert orphan.document_id in objects.keys()  # noqa: SIM118
    document = vault.checked(documents, token, lost.document_id)
    assert document.refusal_reason == deposits_pb2.REFUSAL_REASON_CORRUPTED

    reconcile(stack, grace=0)
    left = objects.keys()
    assert orphan.document_id not in left
    assert kept in left
    deploy.local.start("clamav")
    assert vault.checked(documents, token, kept).state == AVAILABLE
    assert vault.read(documents, token, kept)[1] == data
