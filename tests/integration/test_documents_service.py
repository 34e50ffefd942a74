"""Documents on real components: what is deposited, who reads it, and what leaves no trace."""

import json
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import documents_pb2
from administration.documents.v1.documents_pb2 import DepositDocumentRequest, Document

from tests.support import vault
from tests.support.kafka import header, internal_options, tap
from tests.support.leftovers import Leftovers
from tests.support.polling import brief, eventually
from tests.support.realm import Person, Realm
from tests.support.rpc import Client, Refusal, refusal

TOPIC = "administration.documents.v1.Document"
LIMIT = 100 * 1024 * 1024
MIB = bytes(1024 * 1024)


def get(documents: Client, token: str, document_id: str) -> Document:
    request = documents_pb2.GetDocumentRequest(document_id=document_id)
    answer: documents_pb2.GetDocumentResponse = documents.get_document(request, token=token)
    return answer.document


def share(
    documents: Client,
    token: str,
    document_id: str,
    administration: str = "caf-martinique",
    lasting: timedelta = timedelta(hours=1),
    purpose: str = "Dossier d’allocation",
) -> documents_pb2.Share:
    request = documents_pb2.ShareDocumentRequest(
        document_id=document_id, administration=administration, purpose=purpose
    )
    request.expire_time.FromDatetime(datetime.now(UTC) + lasting)
    answer: documents_pb2.ShareDocumentResponse = documents.share_document(request, token=token)
    return answer.share


def test_a_deposit_is_kept_as_it_was_announced(
    documents: Client, person: Person, token: str
) -> None:
    data = vault.unique_bytes(300_000)
    document = vault.deposit(documents, token, data, name="C:\\Pie\u0300ce.pdf")
    assert document.owner_id == person.account_id
    assert (document.name, document.media_type) == ("Pièce.pdf", "application/pdf")
    assert (document.size_bytes, document.sha256) == (len(data), vault.sha256(data))
    assert document.create_time.seconds > 0
    assert get(documents, token, document.document_id) == document
    head, content = vault.read(documents, token, document.document_id)
    assert (head.document, head.offset, head.length) == (document, 0, len(data))
    assert content == data


def test_a_deposit_that_announces_nothing_is_measured(documents: Client, token: str) -> None:
    data = vault.unique_bytes(9 * 1024 * 1024)
    answer = documents.deposit_document(vault.requests(vault.chunks(data)), token=token)
    assert answer.document.size_bytes == len(data)
    assert answer.document.sha256 == vault.sha256(data)
    vault.checked(documents, token, answer.document.document_id)
    assert vault.read(documents, token, answer.document.document_id)[1] == data


def test_a_deposit_is_published_once_without_its_name(
    documents: Client, person: Person, token: str, stack: dict[str, Any]
) -> None:
    with tap(internal_options(stack), TOPIC) as topic:
        document = vault.deposit(documents, token, vault.unique_bytes(), name="Divorce.pdf")
        _, record = topic.until(lambda r: r.key == document.document_id.encode(), count=2)
    assert header(record, "ce_type") == "administration.documents.v1.DocumentDeposited"
    assert header(record, "ce_subject") == document.document_id
    assert json.loads(record.value) == {
        "documentId": document.document_id,
        "ownerId": person.account_id,
        "mediaType": "application/pdf",
        "sizeBytes": "1000",
        "createTime": document.create_time.ToJsonString(),
        "version": 1,
    }
    assert "Divorce" not in str(record)


Messages = Iterator[DepositDocumentRequest]


def broken_deposits() -> dict[str, tuple[Messages, grpc.StatusCode, str, str]]:
    """Each way to deposit wrongly: the messages, the code, the field and its reason."""
    invalid, ranges = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE
    requests = vault.requests
    return {
        "an empty document": (requests([]), invalid, "chunk", "EMPTY"),
        "empty chunks": (requests([b"", b""]), invalid, "chunk", "EMPTY"),
        "a wrong hash": (requests([b"abc"], sha256="0" * 64), invalid, "sha256", "SHA256"),
        "more than announced": (requests([b"abcd"], size_bytes=3), invalid, "size_bytes", "SIZE"),
        "larger than the limit, announced": (
            requests([b"abc"], size_bytes=LIMIT + 1), ranges, "size_bytes", "TOO_LARGE",
        ),
        "larger than the limit, in fact": (
            requests(MIB for _ in range(102)), ranges, "size_bytes", "TOO_LARGE",
        ),
        "nothing at all": (iter(()), invalid, "header", "REQUIRED"),
        "no header": (
            iter([DepositDocumentRequest(chunk=b"abc")]), invalid, "header", "REQUIRED",
        ),
        "two headers": (
            (message for pair in zip(requests([]), requests([]), strict=True) for message in pair),
            invalid, "chunk", "REQUIRED",
        ),
        "no name": (requests([b"abc"], name=""), invalid, "header.name", "REQUIRED"),
        "a name of nothing": (requests([b"abc"], name="../.."), invalid, "name", "NAME"),
        "a long name": (requests([b"abc"], name="a" * 256), invalid, "header.name", "MAX_LENGTH"),
        "a name with NUL": (requests([b"abc"], name="a\0.pdf"), invalid, "header.name", "NUL"),
        "no type": (requests([b"abc"], media_type=""), invalid, "header.media_type", "REQUIRED"),
        "a type that is none": (
            requests([b"abc"], media_type="pdf"), invalid, "header.media_type", "PATTERN",
        ),
        "a negative size": (
            requests([b"abc"], size_bytes=-1), invalid, "header.size_bytes", "MINIMUM",
        ),
        "a hash that is none": (
            requests([b"abc"], sha256="ABC"), invalid, "header.sha256", "PATTERN",
        ),
    }  # fmt: skip


@pytest.mark.parametrize("case", broken_deposits())
def test_a_wrong_deposit_is_refused_by_its_field_and_leaves_nothing(
    case: str, documents: Client, unlucky_token: str, leftovers: Leftovers
) -> None:
    messages, code, field, reason = broken_deposits()[case]
    refused = refusal(lambda: documents.deposit_document(messages, token=unlucky_token))
    assert (refused.code, refused.fields) == (code, {field: reason})
    eventually(leftovers.none)


@pytest.mark.parametrize("size", [10, 9 * 1024 * 1024])
def test_a_deposit_shorter_than_announced_is_truncated_and_leaves_nothing(
    size: int, documents: Client, unlucky_token: str, leftovers: Leftovers
) -> None:
    messages = vault.requests(vault.chunks(vault.unique_bytes(size)), size_bytes=size + 1)
    refused = refusal(lambda: documents.deposit_document(messages, token=unlucky_token))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "TRUNCATED")
    eventually(leftovers.none)


def test_a_deposit_of_unknown_size_without_its_end_is_truncated_and_leaves_nothing(
    documents: Client, unlucky_token: str, leftovers: Leftovers
) -> None:
    messages = vault.requests([b"abc"], end=False)
    refused = refusal(lambda: documents.deposit_document(messages, token=unlucky_token))
    assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "TRUNCATED")
    eventually(leftovers.none)


def served(stack: dict[str, Any], code: str) -> float:
    """How many deposits ended with a code, as the service counts them."""
    text = httpx.get(f"{stack['services']['documents']['ops']}/metrics", timeout=60).text
    name = (
        "rpc_server_call_duration_seconds_count{"
        'rpc_method="administration.documents.v1.DocumentsService/DepositDocument",'
        f'rpc_response_status_code="{code}"}}'
    )
    found = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(name)]
    return float(found[0]) if found else 0.0


@pytest.mark.parametrize("size_bytes", [0, 20 * 1024 * 1024])
def test_uploads_that_break_off_leave_nothing(
    size_bytes: int,
    documents: Client,
    unlucky_token: str,
    leftovers: Leftovers,
    stack: dict[str, Any],
) -> None:
    ended = ("CANCELLED", "ABORTED", "INVALID_ARGUMENT")
    before = sum(served(stack, code) for code in ended)
    for parts in (1, 1, 1, 1, 1, 1, 1, 1, 12):
        sent, leave = threading.Event(), threading.Event()

        def chunks(parts: int = parts, sent: Any = sent, leave: Any = leave) -> Iterator[bytes]:
            for _ in range(parts):
                yield MIB
            sent.set()
            leave.wait(20)

        call = documents.start(
            "deposit_document", vault.requests(chunks(), size_bytes=size_bytes), token=unlucky_token
        )
        assert sent.wait(20)
        call.cancel()
        leave.set()
    eventually(lambda: sum(served(stack, code) for code in ended) >= before + 9)
    eventually(leftovers.none)


def test_documents_are_listed_newest_first_page_by_page(
    documents: Client, token: str, realm: Realm
) -> None:
    names = [f"{number}.pdf" for number in range(5)]
    for name in names:
        vault.deposit(documents, token, vault.unique_bytes(), name=name)
    listed: list[str] = []
    page_token, pages = "", 0
    while pages == 0 or page_token:
        request = documents_pb2.ListDocumentsRequest(page_size=2, page_token=page_token)
        page = documents.list_documents(request, token=token)
        assert len(page.documents) <= 2
        listed += [document.name for document in page.documents]
        page_token, pages = page.next_page_token, pages + 1
    assert listed == names[::-1]
    assert pages == 3
    whole = documents.list_documents(documents_pb2.ListDocumentsRequest(), token=token)
    assert [document.name for document in whole.documents] == listed
    with realm.person() as other:
        none = documents.list_documents(
            documents_pb2.ListDocumentsRequest(), token=realm.token_of(other)
        )
        assert list(none.documents) == []


@pytest.mark.parametrize(
    ("values", "field", "reason"),
    [
        ({"page_size": -1}, "page_size", "MINIMUM"),
        ({"page_size": 201}, "page_size", "MAXIMUM"),
        ({"page_token": "a"}, "page_token", "PAGE_TOKEN"),
        ({"page_token": "WyJhIiwiYiJd"}, "page_token", "PAGE_TOKEN"),
        ({"page_token": "a" * 201}, "page_token", "MAX_LENGTH"),
        ({"page_token": "\0"}, "page_token", "NUL"),
    ],
)
def test_a_wrong_page_is_refused_by_its_field(
    values: dict[str, Any], field: str, reason: str, documents: Client, citizen_token: str
) -> None:
    request = documents_pb2.ListDocumentsRequest(**values)
    refused = refusal(lambda: documents.list_documents(request, token=citizen_token))
    assert refused.code == grpc.StatusCode.INVALID_ARGUMENT
    assert refused.fields == {field: reason}


def test_a_range_is_read_alone_and_one_past_the_end_is_refused(
    documents: Client, token: str
) -> None:
    data = vault.unique_bytes(600_000)
    document_id = vault.deposit(documents, token, data).document_id
    for offset, length, expected in (
        (0, 1, data[:1]),
        (5, 10, data[5:15]),
        (599_999, 100, data[-1:]),
        (-3, 0, data[-3:]),
        (300_000, 0, data[300_000:]),
        (-(2**63), 2**63 - 1, data),
    ):
        head, content = vault.read(documents, token, document_id, offset, length)
        assert content == expected
        assert head.length == len(expected)
        assert data[head.offset : head.offset + head.length] == expected
    for offset in (600_000, 2**63 - 1):
        refused = refusal(lambda: vault.read(documents, token, document_id, offset))  # noqa: B023
        assert (refused.code, refused.reason) == (
            grpc.StatusCode.OUT_OF_RANGE,
            "RANGE_NOT_SATISFIABLE",
        )


def reading(documents: Client, token: str, document_id: str) -> list[Refusal]:
    """How the two ways to read a document are refused."""
    return [
        refusal(lambda: get(documents, token, document_id)),
        refusal(lambda: vault.read(documents, token, document_id)),
    ]


def test_a_stranger_an_agent_and_a_partner_see_nothing_of_a_document(
    documents: Client, token: str, realm: Realm
) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    strangers = (
        realm.token("stranger"),
        realm.token("agent"),
        realm.client_token("partner-caf"),
    )
    missing = reading(documents, token, str(uuid.uuid4()))[0]
    for other in strangers:
        for refused in reading(documents, other, document_id):
            assert (refused.code, refused.reason) == (
                grpc.StatusCode.NOT_FOUND,
                "DOCUMENT_NOT_FOUND",
            )
            # Another's document and no document look the same.
            assert refused.detail == missing.detail
    for other in strangers[:2]:
        refused = refusal(lambda: share(documents, other, document_id))  # noqa: B023
        assert refused.reason == "DOCUMENT_NOT_FOUND"


@pytest.mark.parametrize(
    ("administration", "reader", "other"),
    [
        ("caf-martinique", "partner-caf", "partner-octroi"),
        ("octroi-de-mer", "partner-octroi", "partner-caf"),
        ("ville-fort-de-france", "agent", "partner-caf"),
    ],
)
def test_a_document_is_read_by_the_administration_it_is_shared_with_and_no_other(
    administration: str, reader: str, other: str, documents: Client, token: str, realm: Realm
) -> None:
    data = vault.unique_bytes()
    document_id = vault.deposit(documents, token, data).document_id
    made = share(documents, token, document_id, administration)
    assert made.administration == administration
    tokens = {
        name: realm.token(name) if name == "agent" else realm.client_token(name)
        for name in (reader, other)
    }
    assert vault.read(documents, tokens[reader], document_id)[1] == data
    assert get(documents, tokens[reader], document_id).document_id == document_id
    for refused in reading(documents, tokens[other], document_id):
        assert refused.code == grpc.StatusCode.NOT_FOUND
    # To read is not to own.
    if reader == "agent":
        refused = refusal(lambda: share(documents, tokens[reader], document_id, "octroi-de-mer"))
        assert refused.reason == "CONSENT_MISSING"


def test_a_share_ends_at_its_end(documents: Client, token: str, realm: Realm) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    share(documents, token, document_id)
    caf = realm.client_token("partner-caf")
    assert get(documents, caf, document_id).document_id == document_id
    # Only now: two calls may take longer than that.
    share(documents, token, document_id, lasting=timedelta(seconds=5))

    def ended() -> bool:
        try:
            get(documents, caf, document_id)
        except grpc.RpcError as error:
            return Refusal(error).code == grpc.StatusCode.NOT_FOUND
        return False

    eventually(ended)


def test_sharing_again_replaces_the_purpose_and_the_end(documents: Client, token: str) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    first = share(documents, token, document_id)
    second = share(
        documents, token, document_id, lasting=timedelta(hours=2), purpose="Autre dossier"
    )
    assert (first.share_id, first.create_time) == (second.share_id, second.create_time)
    assert second.purpose == "Autre dossier"
    assert second.expire_time.seconds > first.expire_time.seconds


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"administration": ""}, {"administration": "REQUIRED"}),
        ({"administration": "CAF"}, {"administration": "PATTERN"}),
        ({"administration": "a" * 64}, {"administration": "MAX_LENGTH"}),
        ({"purpose": ""}, {"purpose": "REQUIRED"}),
        ({"purpose": "a" * 501}, {"purpose": "MAX_LENGTH"}),
        ({"purpose": "a\0b"}, {"purpose": "NUL"}),
        ({"expire_time": None}, {"expire_time": "REQUIRED"}),
        ({"expire_time": {"seconds": 1}}, {"expire_time": "PAST"}),
        ({"expire_time": {"seconds": 2**60}}, {"expire_time": "TIMESTAMP"}),
        ({"document_id": "1"}, {"document_id": "UUID"}),
        ({"document_id": ""}, {"document_id": "REQUIRED"}),
    ],
    ids=brief,
)
def test_a_wrong_share_is_refused_by_its_field(
    values: dict[str, Any], fields: dict[str, str], documents: Client, citizen_token: str
) -> None:
    good = {
        "document_id": str(uuid.uuid4()),
        "administration": "caf-martinique",
        "purpose": "Dossier",
        "expire_time": {"seconds": 4_000_000_000},
    }
    request = documents_pb2.ShareDocumentRequest(**{**good, **values})
    refused = refusal(lambda: documents.share_document(request, token=citizen_token))
    assert (refused.code, refused.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)


def test_a_message_larger_than_grpc_takes_is_refused_and_leaves_nothing(
    documents: Client, unlucky_token: str, leftovers: Leftovers
) -> None:
    messages = vault.requests([bytes(5 * 1024 * 1024)])
    refused = refusal(lambda: documents.deposit_document(messages, token=unlucky_token))
    assert refused.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    eventually(leftovers.none)
