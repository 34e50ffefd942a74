"""Sharing on real components: who reads what, how often, until when, and what ends it at once."""

import io
import json
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import documents_pb2, sharing_pb2
from administration.identity.v1 import consents_pb2
from PIL import Image
from pypdf import PdfReader

from tests.support import vault
from tests.support.kafka import header, internal_options, tap
from tests.support.organisations import Side, agent
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, Refusal, refusal
from tests.support.shares import PURPOSE, asking, listed, received, revoke, share
from tests.support.tables import Tables

PUBLIC, INTERNAL = "public.documents.v1.Document", "administration.documents.v1.Document"
VILLE, CAF = "ville-fort-de-france", "caf-martinique"
PDF = (Path(__file__).resolve().parents[2] / "deploy/demo/attestation.pdf").read_bytes()
# What a share's end promises, and what a busy machine needs beside it.
AT_ONCE, SLACK = 1.0, 4.0
WINDOW = 256 * 1024


def get(documents: Client, token: str, document_id: str) -> documents_pb2.Document:
    request = documents_pb2.GetDocumentRequest(document_id=document_id)
    answer: documents_pb2.GetDocumentResponse = documents.get_document(request, token=token)
    return answer.document


def is_hidden(documents: Client, token: str, document_id: str) -> bool:
    try:
        get(documents, token, document_id)
    except grpc.RpcError as error:
        return Refusal(error).reason == "DOCUMENT_NOT_FOUND"
    return False


def test_a_person_reads_what_is_shared_with_them_and_nobody_else(
    documents: Client, token: str, friend: Person, person: Person, realm: Realm
) -> None:
    data = vault.unique_bytes()
    document_id = vault.deposit(documents, token, data, name="Divorce.pdf").document_id
    theirs = realm.token_of(friend)
    assert is_hidden(documents, theirs, document_id)
    made = share(documents, token, document_id, account_id=friend.account_id)
    assert (made.account_id, made.administration) == (friend.account_id, "")
    assert vault.read(documents, theirs, document_id)[1] == data
    (told,) = received(documents, theirs)
    assert (told.share_id, told.owner_id, told.purpose) == (
        made.share_id, person.account_id, PURPOSE,
    )  # fmt: skip
    for other in (realm.token("stranger"), realm.token("agent"), realm.client_token("partner-caf")):
        assert is_hidden(documents, other, document_id)
        assert made.share_id not in {item.share_id for item in received(documents, other)}
    # To read is neither to own, nor to share further.
    request = sharing_pb2.ListSharesRequest(document_id=document_id)
    assert refusal(lambda: documents.list_shares(request, token=theirs)).reason == (
        "DOCUMENT_NOT_FOUND"
    )
    refused = refusal(lambda: revoke(documents, theirs, made))
    assert refused.reason == "DOCUMENT_NOT_FOUND"
    refused = refusal(lambda: share(documents, theirs, document_id, administration=CAF))
    assert refused.reason == "SHARE_NOT_PASSED_ON"


def test_a_revoked_share_is_over_at_once_stays_listed_and_can_be_given_again(
    documents: Client, token: str, friend: Person, realm: Realm
) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    theirs = realm.token_of(friend)
    made = share(documents, token, document_id, account_id=friend.account_id)
    get(documents, theirs, document_id)
    over = revoke(documents, token, made)
    assert over.end == sharing_pb2.SHARE_END_REVOKED
    assert is_hidden(documents, theirs, document_id)
    assert received(documents, theirs) == []
    assert revoke(documents, token, made) == over
    again = share(documents, token, document_id, account_id=friend.account_id)
    assert again.share_id != made.share_id
    assert not is_hidden(documents, theirs, document_id)
    assert [item.share_id for item in listed(documents, token, document_id)] == [
        again.share_id, made.share_id,
    ]  # fmt: skip
    made.share_id = str(uuid.uuid4())
    assert refusal(lambda: revoke(documents, token, made)).reason == "SHARE_NOT_FOUND"


@pytest.fixture
def narrow(stack: dict[str, Any]) -> Iterator[Client]:
    """Documents, by a channel on which little is under way, as the gateway's is."""
    window = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", WINDOW)]
    client = Client("documents", stack["services"]["documents"]["grpc"], window)
    yield client
    client.close()


def cut(stack: dict[str, Any]) -> float:
    """How many readings were broken off, as the service counts them."""
    text = httpx.get(f"{stack['services']['documents']['ops']}/metrics", timeout=30).text
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("rpc_server_call_duration_seconds_count") and "ReadContent" in line
        if "NOT_FOUND" in line or "CANCELLED" in line
    )


@pytest.mark.parametrize("reading", ["slowly", "not at all"])
def test_revoking_cuts_off_whoever_is_reading(
    reading: str, narrow: Client, token: str, friend: Person, realm: Realm, stack: dict[str, Any]
) -> None:
    data = vault.unique_bytes(40 * 1024 * 1024)
    document_id = vault.deposit(narrow, token, data).document_id
    made = share(narrow, token, document_id, account_id=friend.account_id)
    request = documents_pb2.ReadContentRequest(document_id=document_id)
    call = narrow.start("read_content", request, token=realm.token_of(friend), timeout=60)
    next(call)
    if reading == "slowly":
        for _ in range(8):
            next(call)
            threading.Event().wait(0.1)
    before = cut(stack)
    revoke(narrow, token, made)
    eventually(lambda: cut(stack) > before, within=AT_ONCE + SLACK)
    taken = 0

    def read() -> None:
        nonlocal taken
        for message in call:
            taken += len(message.chunk)

    refused = refusal(read)
    assert refused.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.CANCELLED)
    assert taken <= 2 * WINDOW


def test_revoking_cuts_off_a_reader_at_the_gateway(
    documents: Client, gateway: httpx.Client, token: str, friend: Person, realm: Realm
) -> None:
    data = vault.unique_bytes(40 * 1024 * 1024)
    document_id = vault.deposit(documents, token, data).document_id
    made = share(documents, token, document_id, account_id=friend.account_id)
    headers = {"Authorization": f"Bearer {realm.token_of(friend)}"}
    path = f"/v1/documents/{document_id}/content"
    with gateway.stream("GET", path, headers=headers) as answer:
        assert answer.status_code == 200
        chunks = answer.iter_raw(64 * 1024)
        taken = len(next(chunks))
        revoke(documents, token, made)

        def read_slowly() -> None:
            nonlocal taken
            for chunk in chunks:
                taken += len(chunk)
                threading.Event().wait(0.05)

        with pytest.raises(httpx.RemoteProtocolError):
            read_slowly()
    # What was under way to them is theirs.
    assert taken < len(data) / 2


def test_the_end_of_a_share_is_published_once_with_its_cause(
    documents: Client, person: Person, token: str, stack: dict[str, Any], friend: Person
) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    key = document_id.encode()
    with (
        tap(internal_options(stack), PUBLIC) as public,
        tap(internal_options(stack), INTERNAL) as all_,
    ):
        revoked = share(documents, token, document_id, administration=CAF)
        revoke(documents, token, revoked)
        over = share(
            documents, token, document_id, administration=VILLE, lasting=timedelta(seconds=3)
        )
        personal = share(documents, token, document_id, account_id=friend.account_id)
        revoke(documents, token, personal)
        told = list(public.until(lambda r: r.key == key, count=4))
        internal = list(all_.until(lambda r: r.key == key and b"accountId" in r.value, count=2))
    ends = [
        json.loads(record.value)
        for record in told
        if header(record, "ce_type").endswith("DocumentShareEnded")
    ]
    assert {(end["shareId"], end["administration"], end["end"]) for end in ends} == {
        (revoked.share_id, CAF, "SHARE_END_REVOKED"),
        (over.share_id, VILLE, "SHARE_END_EXPIRED"),
    }
    # What goes from person to person is nothing for partners.
    assert friend.account_id not in str([record.value for record in told])
    assert [header(record, "ce_type").rpartition(".")[2] for record in internal] == [
        "DocumentSharedWithPerson",
        "DocumentShareWithPersonEnded",
    ]
    assert PURPOSE not in str([record.value.decode() for record in [*told, *internal]])
    states = {item.share_id: item.end for item in listed(documents, token, document_id)}
    assert states[over.share_id] == sharing_pb2.SHARE_END_EXPIRED


# ---- read once ----------------------------------------------------------------------------------


def test_what_is_to_be_read_once_is_read_once(
    documents: Client, token: str, friend: Person, realm: Realm
) -> None:
    data = vault.unique_bytes(1_000_000)
    document_id = vault.deposit(documents, token, data).document_id
    theirs = realm.token_of(friend)
    share(documents, token, document_id, account_id=friend.account_id, read_once=True)
    # To look is not to read.
    get(documents, theirs, document_id)
    get(documents, theirs, document_id)
    assert vault.read(documents, theirs, document_id)[1] == data
    for refused in (
        refusal(lambda: vault.read(documents, theirs, document_id)),
        refusal(lambda: get(documents, theirs, document_id)),
    ):
        assert refused.reason == "DOCUMENT_NOT_FOUND"
    (made,) = listed(documents, token, document_id)
    assert made.end == sharing_pb2.SHARE_END_READ
    assert made.HasField("read_time")


def test_a_reading_that_broke_off_is_taken_up_by_its_reader_alone(
    documents: Client, token: str, realm: Realm, gateway: httpx.Client, database: Tables
) -> None:
    admin = Side(gateway, realm.token("admin"))
    organisation = admin.created()
    with realm.person() as one, realm.person() as another:
        agents = [agent(gateway, realm, admin, organisation, each) for each in (one, another)]
        first, second = (realm.fresh_token(each) for each in (one, another))
        assert len(agents) == 2
        data = vault.unique_bytes(20 * 1024 * 1024)
        document_id = vault.deposit(documents, token, data).document_id
        made = share(
            documents, token, document_id, administration=organisation["alias"], read_once=True
        )
        request = documents_pb2.ReadContentRequest(document_id=document_id)
        call = documents.start("read_content", request, token=first, timeout=60)
        next(call)
        begun = next(call).chunk
        call.cancel()
        refused = refusal(lambda: vault.read(documents, second, document_id))
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION, "READ_ONCE",
        )  # fmt: skip
        _, rest = vault.read(documents, first, document_id, len(begun))
        assert begun + rest == data
        assert is_hidden(documents, first, document_id)
        # Later than one may go on with it, it is over for its reader too.
        again = share(
            documents, token, document_id, administration=organisation["alias"], read_once=True
        )
        vault.read(documents, first, document_id, 0, 10)
        database.rows(
            "UPDATE documents.shares SET read_time = now() - interval '11 minutes'"
            " WHERE share_id = %s",
            again.share_id,
        )
        refused = refusal(lambda: vault.read(documents, first, document_id))
        assert refused.reason in ("READ_ONCE", "DOCUMENT_NOT_FOUND")
        eventually(
            lambda: (
                {item.share_id: item.end for item in listed(documents, token, document_id)}
                == {
                    made.share_id: sharing_pb2.SHARE_END_READ,
                    again.share_id: sharing_pb2.SHARE_END_READ,
                }
            )
        )


# ---- with the owner's consent -------------------------------------------------------------------


def consents(identity: Client, token: str, lasting: timedelta = timedelta(hours=2)) -> str:
    """The owner consents that the CAF receives their documents."""
    request = consents_pb2.GrantConsentRequest(
        administration=CAF, purpose=PURPOSE, scopes=["documents.read"]
    )
    request.expire_time.FromDatetime(asking("", lasting=lasting).expire_time.ToDatetime())
    return str(identity.grant_consent(request, token=token).consent.consent_id)


def test_an_agent_passes_on_what_the_owner_consents_to(
    documents: Client, identity: Client, gateway: httpx.Client, token: str, person: Person,
    realm: Realm,
) -> None:  # fmt: skip
    data = vault.unique_bytes()
    document_id = vault.deposit(documents, token, data).document_id
    clerk, caf = realm.token("agent"), realm.client_token("partner-caf")
    hidden = refusal(lambda: share(documents, clerk, document_id, administration=CAF))
    assert hidden.reason == "DOCUMENT_NOT_FOUND"
    share(documents, token, document_id, administration=VILLE)
    missing = refusal(lambda: share(documents, clerk, document_id, administration=CAF))
    assert (missing.code, missing.reason) == (
        grpc.StatusCode.PERMISSION_DENIED, "CONSENT_MISSING",
    )  # fmt: skip
    assert is_hidden(documents, caf, document_id)

    consent_id = consents(identity, token)
    for values, field, reason in (
        ({"account_id": str(uuid.uuid4())}, "account_id", "OWNER_ONLY"),
        ({"administration": CAF, "lasting": timedelta(hours=3)}, "expire_time", "AFTER_CONSENT"),
    ):
        refused = refusal(lambda: share(documents, clerk, document_id, **values))  # noqa: B023
        assert refused.fields == {field: reason}
    made = share(documents, clerk, document_id, administration=CAF)
    assert (made.shared_by, made.consent_id) == (VILLE, consent_id)
    assert vault.read(documents, caf, document_id)[1] == data
    side = Side(gateway, token, person.account_id)

    def told() -> bool:
        entries = side.get("/v1/me/journal").json().get("entries", [])
        actions = {(each["action"], each.get("administration")) for each in entries}
        return {("documents.share", VILLE), ("documents.read", CAF)} <= actions

    eventually(told)
    # The owner sees it among their own shares, and ends it as any other.
    assert made.share_id in {item.share_id for item in listed(documents, token, document_id)}

    revoking = consents_pb2.RevokeConsentRequest(consent_id=consent_id)
    identity.revoke_consent(revoking, token=token)
    # From the next access on, whether the event has come or not.
    assert is_hidden(documents, caf, document_id)

    def ended() -> bool:
        states = {item.share_id: item.end for item in listed(documents, token, document_id)}
        return states[made.share_id] == sharing_pb2.SHARE_END_CONSENT_REVOKED

    eventually(ended)


def test_revoking_a_consent_cuts_off_whoever_reads_by_it(
    narrow: Client, identity: Client, token: str, realm: Realm, stack: dict[str, Any]
) -> None:
    document_id = vault.deposit(narrow, token, vault.unique_bytes(40 * 1024 * 1024)).document_id
    share(narrow, token, document_id, administration=VILLE)
    consent_id = consents(identity, token)
    share(narrow, realm.token("agent"), document_id, administration=CAF)
    request = documents_pb2.ReadContentRequest(document_id=document_id)
    caf = realm.client_token("partner-caf")
    call = narrow.start("read_content", request, token=caf, timeout=60)
    next(call)
    before = cut(stack)
    revoking = consents_pb2.RevokeConsentRequest(consent_id=consent_id)
    identity.revoke_consent(revoking, token=token)
    eventually(lambda: cut(stack) > before, within=2 * AT_ONCE + SLACK)
    refused = refusal(lambda: list(call))
    assert refused.code in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.CANCELLED)


# ---- with a watermark ---------------------------------------------------------------------------


def text_of(pdf: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_whom_it_is_shared_with_reads_it_with_their_name_on_each_page(
    documents: Client, gateway: httpx.Client, token: str, friend: Person, realm: Realm
) -> None:
    document_id = vault.deposit(documents, token, PDF).document_id
    theirs, caf = realm.token_of(friend), realm.client_token("partner-caf")
    share(documents, token, document_id, account_id=friend.account_id, watermark=True)
    share(documents, token, document_id, administration=CAF, watermark=True)
    for reader, whom in ((theirs, friend.name), (caf, CAF)):
        head, content = vault.read(documents, reader, document_id)
        assert f"Transmis à {whom} le " in text_of(content)
        assert (head.document.size_bytes, head.document.sha256) == (
            len(content), vault.sha256(content),
        )  # fmt: skip
        assert get(documents, reader, document_id).watermarked
        refused = refusal(lambda: vault.read(documents, reader, document_id, 5))  # noqa: B023
        assert refused.fields == {"offset": "WATERMARK"}
    assert vault.read(documents, token, document_id)[1] == PDF
    headers = {"Authorization": f"Bearer {caf}", "Range": "bytes=0-3"}
    answer = gateway.get(f"/v1/documents/{document_id}/content", headers=headers)
    assert (answer.status_code, answer.headers["accept-ranges"]) == (200, "none")
    assert CAF in text_of(answer.content)


def test_a_picture_is_read_with_a_watermark_once(
    documents: Client, token: str, friend: Person, realm: Realm
) -> None:
    written = io.BytesIO()
    Image.effect_noise((300, 200), 80).save(written, "PNG")
    data = written.getvalue()
    deposited = vault.deposit(documents, token, data, name="a.png", media_type="image/png")
    document_id, theirs = deposited.document_id, realm.token_of(friend)
    share(
        documents, token, document_id,
        account_id=friend.account_id, watermark=True, read_once=True,
    )  # fmt: skip
    content = vault.read(documents, theirs, document_id)[1]
    with Image.open(io.BytesIO(content)) as opened:
        assert (opened.format, opened.size) == ("PNG", (300, 200))
    assert content != data
    assert is_hidden(documents, theirs, document_id)


@pytest.mark.parametrize(
    ("data", "media_type", "name", "reason"),
    [
        (b"du texte", "text/plain", "a.txt", "MEDIA_TYPE"),
        (vault.unique_bytes(), "application/pdf", "a.pdf", "NOT_POSSIBLE"),
        (PDF + bytes(20 * 1024 * 1024), "application/pdf", "a.pdf", "TOO_LARGE"),
    ],
    ids=["type", "damaged", "large"],
)
def test_a_watermark_that_cannot_be_made_is_refused_when_it_is_shared(
    data: bytes, media_type: str, name: str, reason: str, documents: Client, token: str
) -> None:
    document_id = vault.deposit(
        documents, token, data, media_type=media_type, name=name
    ).document_id
    refused = refusal(
        lambda: share(documents, token, document_id, administration=CAF, watermark=True)
    )
    assert refused.fields == {"watermark": reason}


def test_a_share_with_oneself_or_with_two_is_refused_by_its_field(
    documents: Client, token: str, person: Person
) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    for values, field, reason in (
        ({"account_id": person.account_id}, "account_id", "OWNER"),
        ({"account_id": person.account_id, "administration": CAF}, "account_id", "ONE_RECIPIENT"),
        ({}, "administration", "REQUIRED"),
        ({"account_id": "1"}, "account_id", "UUID"),
    ):
        refused = refusal(lambda: share(documents, token, document_id, **values))  # noqa: B023
        assert refused.fields == {field: reason}
