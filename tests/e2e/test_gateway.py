"""The main job through the real gateway, and every bad input that it must survive."""

import base64
import hashlib
import json
import secrets
import socket
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

from tests.support import vault
from tests.support.fake_realm import FakeRealm, forged
from tests.support.kafka import partner_options, tap
from tests.support.leftovers import Leftovers
from tests.support.mailbox import Mailbox
from tests.support.polling import brief, eventually
from tests.support.realm import Person, Realm
from tests.support.sse import Event, events

PROBLEM = "application/problem+json"
LIMIT = 100 * 1024 * 1024
NAMED = {
    "Content-Disposition": "attachment; filename*=UTF-8''acte%20de%20naissance.pdf",
    "Content-Type": "application/pdf",
}
SHARE = {
    "administration": "caf-martinique",
    "purpose": "Dossier d’allocation",
    "expireTime": "2999-01-01T00:00:00Z",
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def digest(data: bytes) -> dict[str, str]:
    encoded = base64.b64encode(hashlib.sha256(data).digest()).decode()
    return {"Content-Digest": f"sha-256=:{encoded}:"}


def deposit(gateway: httpx.Client, token: str, data: bytes) -> str:
    """Deposits a document; its identifier."""
    headers = bearer(token) | NAMED | digest(data)
    answer = gateway.post("/v1/documents", content=data, headers=headers)
    assert answer.status_code == 201, answer.text
    document_id = str(answer.json()["document"]["documentId"])
    available(gateway, token, document_id)
    return document_id


def available(gateway: httpx.Client, token: str, document_id: str) -> None:
    """Waits until a document can be read."""

    def found() -> bool:
        answer = gateway.get(f"/v1/documents/{document_id}", headers=bearer(token))
        return bool(answer.json()["document"]["state"] == "DOCUMENT_STATE_AVAILABLE")

    eventually(found)


def share(gateway: httpx.Client, token: str, document_id: str) -> None:
    path = f"/v1/documents/{document_id}/shares"
    answer = gateway.post(path, json=SHARE, headers=bearer(token))
    assert answer.status_code == 200, answer.text


class Stream:
    """The inbox as a browser's EventSource gets it, on a thread of its own."""

    def __init__(self, base_url: str, token: str, last_event_id: str = "") -> None:
        headers = bearer(token) | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        self.seen: list[Event] = []
        self._client = httpx.Client(base_url=base_url, timeout=30)
        request = self._client.build_request("GET", "/v1/inbox/stream", headers=headers)
        self.response = self._client.send(request, stream=True)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            for event in events(self.response.iter_lines()):
                self.seen.append(event)
        except (httpx.StreamError, httpx.TransportError):
            # Closed by `close`, while it waited for the next event.
            return

    def until(self, count: int) -> list[Event]:
        return eventually(lambda: len(self.seen) >= count and self.seen, what=f"{count} events")

    def close(self) -> None:
        stream = self.response.extensions["network_stream"]
        stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self.response.close()
        self._client.close()


@pytest.fixture
def stream(gateway: httpx.Client, token: str) -> Iterator[Stream]:
    opened = Stream(str(gateway.base_url), token)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def document_id(gateway: httpx.Client, realm: Realm) -> str:
    """A document of the citizen of the development realm."""
    return deposit(gateway, realm.token("citizen"), vault.unique_bytes())


# ---- the main job --------------------------------------------------------------------------


def test_a_document_goes_from_the_citizen_to_the_administration_and_everybody_is_told(
    gateway: httpx.Client,
    stack: dict[str, Any],
    person: Person,
    token: str,
    realm: Realm,
    stream: Stream,
    mailbox: Mailbox,
) -> None:
    me = gateway.get("/v1/me", headers=bearer(token)).json()["account"]
    assert (me["accountId"], me["displayName"]) == (person.account_id, person.name)

    def caf() -> str:
        return realm.client_token("partner-caf")

    data = vault.unique_bytes(700_000)
    with tap(partner_options(stack, caf), "public.documents.v1.Document") as topic:
        headers = bearer(token) | NAMED | digest(data)
        answer = gateway.post("/v1/documents", content=data, headers=headers)
        assert answer.status_code == 201
        document = answer.json()["document"]
        document_id = document["documentId"]
        assert answer.headers["location"] == f"/v1/documents/{document_id}"
        assert document["name"] == "acte de naissance.pdf"
        assert document["sha256"] == hashlib.sha256(data).hexdigest()
        available(gateway, token, document_id)
        share(gateway, token, document_id)
        (record,) = topic.until(lambda r: r.key == document_id.encode())
    assert json.loads(record.value)["administration"] == "caf-martinique"

    content = gateway.get(f"/v1/documents/{document_id}/content", headers=bearer(caf()))
    assert content.content == data
    assert content.headers["content-type"] == "application/pdf"
    assert "acte%20de%20naissance.pdf" in content.headers["content-disposition"]

    deposited, shared = stream.until(2)[:2]
    assert (deposited.id, deposited.name) == ("1", "WatchInbox")
    assert deposited.data["entry"]["kind"] == "DocumentDeposited"
    assert (shared.id, shared.data["entry"]["entityId"]) == ("2", document_id)
    mailbox.wait(person.email, "Votre document est dans votre coffre")
    mailbox.wait(person.email, "Votre document est partagé")

    for stranger in (
        realm.token("stranger"),
        realm.token("agent"),
        realm.client_token("partner-octroi"),
    ):
        for path in (f"/v1/documents/{document_id}", f"/v1/documents/{document_id}/content"):
            refused(gateway.get(path, headers=bearer(stranger)), 404, "DOCUMENT_NOT_FOUND")


def test_a_live_inbox_resumes_after_the_last_event_it_had(
    gateway: httpx.Client, token: str, stream: Stream
) -> None:
    assert stream.response.headers["content-type"] == "text/event-stream"
    deposit(gateway, token, vault.unique_bytes())
    deposit(gateway, token, vault.unique_bytes())
    assert [event.id for event in stream.until(2)] == ["1", "2"]
    again = Stream(str(gateway.base_url), token, last_event_id="1")
    assert [event.id for event in again.until(1)] == ["2"]
    again.close()


def test_a_document_is_read_in_parts_and_only_when_it_changed(
    gateway: httpx.Client, token: str
) -> None:
    data = vault.unique_bytes(5000)
    path = f"/v1/documents/{deposit(gateway, token, data)}/content"
    whole = gateway.get(path, headers=bearer(token))
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["accept-ranges"] == "bytes"
    part = gateway.get(path, headers=bearer(token) | {"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, data[100:200])
    assert part.headers["content-range"] == "bytes 100-199/5000"
    last = gateway.get(path, headers=bearer(token) | {"Range": "bytes=-10"})
    assert last.content == data[-10:]
    beyond = gateway.get(path, headers=bearer(token) | {"Range": "bytes=5000-"})
    refused(beyond, 416, "RANGE_NOT_SATISFIABLE")
    assert beyond.headers["content-range"] == "bytes */5000"
    unchanged = gateway.get(path, headers=bearer(token) | {"If-None-Match": whole.headers["etag"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    head = gateway.head(path, headers=bearer(token))
    assert (head.status_code, head.headers["content-length"]) == (200, "5000")


def test_one_trace_follows_a_deposit_to_the_mail_server(
    gateway: httpx.Client, stack: dict[str, Any], token: str
) -> None:
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"}
    data = vault.unique_bytes()
    answer = gateway.post("/v1/documents", content=data, headers=bearer(token) | NAMED | headers)
    assert answer.status_code == 201
    assert trace_id in answer.headers["traceparent"]
    wanted = {
        ("gateway", "POST /v1/documents"),
        ("documents", "administration.documents.v1.DocumentsService/DepositDocument"),
        ("documents", "publish DocumentDeposited"),
        ("notifications", "process DocumentDeposited"),
        ("notifications", "send e-mail"),
        ("identity", "administration.identity.v1.IdentityService/GetContact"),
    }

    def spans() -> list[dict[str, Any]]:
        found = httpx.get(f"{stack['collector']}/traces/{trace_id}", timeout=30)
        return list(found.json()) if found.status_code == 200 else []

    eventually(lambda: wanted <= {(span["service"], span["name"]) for span in spans()})
    assert token not in str(spans())
    assert "acte" not in str(spans())


def test_pages_of_documents_follow_one_another(gateway: httpx.Client, token: str) -> None:
    made = [deposit(gateway, token, vault.unique_bytes()) for _ in range(3)]
    seen: list[str] = []
    parameters: dict[str, Any] = {"pageSize": 2}
    while True:
        page = gateway.get("/v1/documents", params=parameters, headers=bearer(token)).json()
        seen += [document["documentId"] for document in page["documents"]]
        if not page["nextPageToken"]:
            break
        parameters["pageToken"] = page["nextPageToken"]
    assert seen == made[::-1]


def test_the_gateway_tells_its_health_and_what_it_can_do(
    gateway: httpx.Client, stack: dict[str, Any]
) -> None:
    with httpx.Client(base_url=stack["services"]["gateway"]["ops"], timeout=30) as ops:
        assert ops.get("/livez").status_code == 200
        assert ops.get("/readyz").status_code == 200
        assert "http_server_request_duration_seconds" in ops.get("/metrics").text
    document = gateway.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/v1/documents" in document["paths"]


# ---- bad input: a problem document with its field and reason, and no trace of it -------------


def refused(
    answer: httpx.Response, status: int, reason: str, fields: dict[str, str] | None = None
) -> None:
    """Checks a problem document: its status, its reason and the fields at fault."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["status"] == status
    assert problem["reason"] == reason
    assert problem["title"]
    assert problem["detail"]
    assert problem["type"] == f"urn:administration:problem:{reason.lower().replace('_', '-')}"
    assert len(problem["trace_id"]) == 32
    at_fault = {item["field"]: item["reason"] for item in problem.get("errors", [])}
    assert at_fault == (fields or {})


WRONG_DEPOSITS: dict[str, tuple[Mapping[str, str | None], bytes, int, str, dict[str, str]]] = {
    "an empty document": ({}, b"", 400, "INVALID_INPUT", {"chunk": "EMPTY"}),
    "a wrong hash": (
        digest(b"other"), b"abc", 400, "INVALID_INPUT", {"Content-Digest": "SHA256"},
    ),
    "a hash that is none": (
        {"Content-Digest": "sha-256=:YQ==:"}, b"abc", 400, "INVALID_INPUT",
        {"Content-Digest": "MALFORMED"},
    ),
    "no name": (
        {"Content-Disposition": None}, b"abc", 400, "INVALID_INPUT",
        {"Content-Disposition": "REQUIRED"},
    ),
    "a name that is none": (
        {"Content-Disposition": "attachment; filename*=latin'é"}, b"abc", 400, "INVALID_INPUT",
        {"Content-Disposition": "MALFORMED"},
    ),
    "a name of nothing": (
        {"Content-Disposition": 'attachment; filename="../.."'}, b"abc", 400, "INVALID_INPUT",
        {"Content-Disposition": "NAME"},
    ),
    "a name with NUL": (
        {"Content-Disposition": "attachment; filename*=UTF-8''a%00.pdf"}, b"abc", 400,
        "INVALID_INPUT", {"Content-Disposition": "NUL"},
    ),
    "an over-long name": (
        {"Content-Disposition": f'attachment; filename="{"a" * 256}"'}, b"abc", 400,
        "INVALID_INPUT", {"Content-Disposition": "MAX_LENGTH"},
    ),
    "a type that is none": (
        {"Content-Type": "pdf"}, b"abc", 400, "INVALID_INPUT", {"Content-Type": "MALFORMED"},
    ),
    "an over-long type": (
        {"Content-Type": f"application/{'a' * 200}"}, b"abc", 400, "INVALID_INPUT",
        {"Content-Type": "MAX_LENGTH"},
    ),
    "a form": (
        {"Content-Type": "multipart/form-data; boundary=a"}, b"abc", 415,
        "UNSUPPORTED_MEDIA_TYPE", {},
    ),
    "a compressed body": (
        {"Content-Encoding": "gzip"}, b"abc", 415, "UNSUPPORTED_MEDIA_TYPE", {},
    ),
    "no token": ({"Authorization": None}, b"abc", 401, "TOKEN_MISSING", {}),
    "a token that is none": ({"Authorization": "Bearer a.b.c"}, b"abc", 401, "TOKEN_INVALID", {}),
    "another scheme": ({"Authorization": "Basic YTpi"}, b"abc", 401, "TOKEN_INVALID", {}),
    "an unsigned token": (
        bearer(forged({"alg": "none", "kid": "first", "typ": "at+jwt"})), b"abc", 401,
        "TOKEN_INVALID", {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_DEPOSITS)
def test_a_wrong_deposit_is_a_problem_and_leaves_nothing(
    case: str, gateway: httpx.Client, unlucky_token: str, leftovers: Leftovers
) -> None:
    changes, data, status, reason, fields = WRONG_DEPOSITS[case]
    wanted = {**bearer(unlucky_token), **NAMED, **changes}
    headers = {name.encode(): value.encode() for name, value in wanted.items() if value is not None}
    answer = gateway.post("/v1/documents", content=data, headers=list(headers.items()))
    refused(answer, status, reason, fields)
    eventually(leftovers.none)


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_larger_than_the_limit_is_a_problem_and_leaves_nothing(
    announced: bool, gateway: httpx.Client, unlucky_token: str, leftovers: Leftovers
) -> None:
    mebibyte = bytes(1024 * 1024)
    headers = bearer(unlucky_token) | NAMED
    if announced:
        headers["Content-Length"] = str(LIMIT + 1024 * 1024)

    def pieces() -> Iterator[bytes]:
        for _ in range(101):
            yield mebibyte

    answer = gateway.post("/v1/documents", content=pieces(), headers=headers)
    refused(answer, 413, "TOO_LARGE", {"Content-Length": "TOO_LARGE"})
    eventually(leftovers.none)


def raw_upload(stack: dict[str, Any], token: str, headers: str, body: bytes) -> None:
    """Sends the beginning of an upload, and hangs up."""
    host, _, port = stack["gateway"].removeprefix("http://").rpartition(":")
    head = (
        f"POST /v1/documents HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        'Content-Disposition: attachment; filename="acte.pdf"\r\n'
        f"Content-Type: application/pdf\r\n{headers}\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode() + body)


def uploads(stack: dict[str, Any]) -> float:
    """How many uploads the gateway has ended, whatever became of them."""
    text = httpx.get(f"{stack['services']['gateway']['ops']}/metrics", timeout=30).text
    return sum(
        float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("http_server_request_duration_seconds_count")
        and {'http_request_method="POST"', 'http_route="/v1/documents"'}
        <= set(line.partition("{")[2].partition("}")[0].split(","))
    )


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Length: 1000", b"abc"),
        ("Content-Length: 1000", b""),
        ("Content-Length: 20000000", bytes(9_000_000)),
        ("Transfer-Encoding: chunked", b"3\r\nabc\r\n"),
        ("Transfer-Encoding: chunked", b"895440\r\n" + bytes(9_000_000) + b"\r\n"),
        ("Transfer-Encoding: chunked", b"zz\r\nabc\r\n"),
    ],
    ids=["announced", "announced, nothing sent", "announced, large", "chunked", "chunked, large",
         "chunked, malformed"],
)  # fmt: skip
def test_an_upload_that_breaks_off_leaves_nothing(
    headers: str, body: bytes, stack: dict[str, Any], unlucky_token: str, leftovers: Leftovers
) -> None:
    before = uploads(stack)
    for _ in range(5):
        raw_upload(stack, unlucky_token, headers, body)
    if b"zz" not in body:
        eventually(lambda: uploads(stack) >= before + 5)
    eventually(leftovers.none)


WRONG_SHARES: dict[str, tuple[str, bytes, int, str, dict[str, str]]] = {
    "malformed JSON": ("application/json", b'{"administration": ', 400, "MALFORMED_JSON", {}),
    "no UTF-8": ("application/json", b'{"purpose": "\xff"}', 400, "MALFORMED_JSON", {}),
    "half a character": (
        "application/json", b'{"purpose": "\\ud800"}', 400, "INVALID_INPUT",
        {"purpose": "WRONG_TYPE"},
    ),
    "a list": ("application/json", b"[]", 400, "WRONG_TYPE", {}),
    "nothing": (
        "application/json", b"", 400, "INVALID_INPUT",
        {"purpose": "REQUIRED", "expireTime": "REQUIRED"},
    ),
    "no JSON": ("text/plain", json.dumps(SHARE).encode(), 415, "UNSUPPORTED_MEDIA_TYPE", {}),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_SHARES)
def test_a_body_that_is_no_share_is_a_problem(
    case: str, gateway: httpx.Client, citizen_token: str, document_id: str
) -> None:
    media_type, body, status, reason, fields = WRONG_SHARES[case]
    answer = gateway.post(
        f"/v1/documents/{document_id}/shares",
        content=body,
        headers=bearer(citizen_token) | {"Content-Type": media_type},
    )
    if case == "half a character":
        assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    else:
        refused(answer, status, reason, fields)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"unknown": 1}, {"unknown": "UNKNOWN_FIELD"}),
        ({"documentId": str(uuid.uuid4())}, {"documentId": "IN_PATH"}),
        ({"administration": 7}, {"administration": "WRONG_TYPE"}),
        ({"administration": ["caf-martinique"]}, {"administration": "WRONG_TYPE"}),
        ({"administration": "Pas un alias"}, {"administration": "PATTERN"}),
        ({"purpose": "a" * 501}, {"purpose": "MAX_LENGTH"}),
        ({"purpose": ""}, {"purpose": "REQUIRED"}),
        ({"purpose": "a\0b"}, {"purpose": "NUL"}),
        ({"expireTime": "demain"}, {"expireTime": "WRONG_TYPE"}),
        ({"expireTime": 4_000_000_000}, {"expireTime": "WRONG_TYPE"}),
        ({"expireTime": "2000-01-01T00:00:00Z"}, {"expireTime": "PAST"}),
    ],
    ids=brief,
)
def test_a_wrong_field_of_a_share_is_a_problem_with_its_name(
    changes: dict[str, Any],
    fields: dict[str, str],
    gateway: httpx.Client,
    citizen_token: str,
    document_id: str,
) -> None:
    answer = gateway.post(
        f"/v1/documents/{document_id}/shares", json=SHARE | changes, headers=bearer(citizen_token)
    )
    refused(answer, 400, "INVALID_INPUT", fields)


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        ("pageSize=a", "pageSize", "WRONG_TYPE"),
        ("pageSize=-1", "pageSize", "MINIMUM"),
        ("pageSize=201", "pageSize", "MAXIMUM"),
        ("pageSize=1&pageSize=2", "pageSize", "GIVEN_TWICE"),
        ("pageToken=abc", "pageToken", "PAGE_TOKEN"),
        ("pageToken=%00", "pageToken", "NUL"),
        ("unknown=1", "unknown", "UNKNOWN_PARAMETER"),
    ],
)
def test_a_wrong_parameter_is_a_problem_with_its_name(
    query: str, field: str, reason: str, gateway: httpx.Client, citizen_token: str
) -> None:
    for path in ("/v1/documents", "/v1/inbox"):
        answer = gateway.get(f"{path}?{query}", headers=bearer(citizen_token))
        refused(answer, 400, "INVALID_INPUT", {field: reason})


def test_an_unknown_id_and_someone_else_s_look_the_same(
    gateway: httpx.Client, citizen_token: str, document_id: str, realm: Realm
) -> None:
    stranger = realm.token("stranger")
    for path in ("", "/content"):
        others = gateway.get(f"/v1/documents/{document_id}{path}", headers=bearer(stranger))
        unknown = gateway.get(f"/v1/documents/{uuid.uuid4()}{path}", headers=bearer(citizen_token))
        refused(others, 404, "DOCUMENT_NOT_FOUND")
        refused(unknown, 404, "DOCUMENT_NOT_FOUND")
        assert others.json()["detail"] == unknown.json()["detail"]
    sharing = gateway.post(
        f"/v1/documents/{document_id}/shares", json=SHARE, headers=bearer(stranger)
    )
    refused(sharing, 404, "DOCUMENT_NOT_FOUND")


@pytest.mark.parametrize(
    "text", ["1", "..%2f..%2fetc", "%00", "a" * 5000, "%F0%9F%93%84"], ids=brief
)
def test_an_id_that_is_none_is_a_problem_with_its_name(
    text: str, gateway: httpx.Client, citizen_token: str
) -> None:
    answer = gateway.get(f"/v1/documents/{text}", headers=bearer(citizen_token))
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert answer.json()["errors"][0]["field"] == "documentId"


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/", 404, "PATH_UNKNOWN"),
        ("GET", "/v1/nothing", 404, "PATH_UNKNOWN"),
        ("GET", "/v1/documents/%ff", 400, "MALFORMED_PATH"),
        ("DELETE", "/v1/me", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/v1/me", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/me?a=%ff", 400, "MALFORMED_QUERY"),
    ],
)
def test_a_request_for_nothing_is_a_problem(
    method: str, path: str, status: int, reason: str, gateway: httpx.Client, citizen_token: str
) -> None:
    refused(gateway.request(method, path, headers=bearer(citizen_token)), status, reason)


ROUTES = [
    ("GET", "/v1/me"),
    ("POST", "/v1/documents"),
    ("GET", "/v1/documents"),
    ("GET", f"/v1/documents/{uuid.uuid4()}"),
    ("GET", f"/v1/documents/{uuid.uuid4()}/content"),
    ("POST", f"/v1/documents/{uuid.uuid4()}/shares"),
    ("GET", "/v1/inbox"),
    ("GET", "/v1/inbox/stream"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_refuses_a_missing_and_a_foreign_token(
    method: str, path: str, gateway: httpx.Client, stack: dict[str, Any], foreign: FakeRealm
) -> None:
    headers: dict[str, str] = dict(NAMED) if path == "/v1/documents" and method == "POST" else {}
    content: Any = b"abc" if headers else None
    more: dict[str, Any] = {"json": SHARE} if path.endswith("/shares") else {"content": content}
    missing = gateway.request(method, path, headers=headers, **more)
    refused(missing, 401, "TOKEN_MISSING")
    assert missing.headers["www-authenticate"] == 'Bearer realm="administration"'
    # Of long ago: today's keys tell. For one that says it is new, keys are asked for first.
    token = foreign.token({"iss": stack["issuer"], "iat": 1})
    other = gateway.request(method, path, headers=headers | bearer(token), **more)
    refused(other, 401, "TOKEN_INVALID")
    assert 'error="invalid_token"' in other.headers["www-authenticate"]


def test_a_token_without_the_role_is_a_problem(gateway: httpx.Client, realm: Realm) -> None:
    partner = bearer(realm.client_token("partner-caf"))
    for path in ("/v1/me", "/v1/documents", "/v1/inbox", "/v1/inbox/stream"):
        refused(gateway.get(path, headers=partner), 403, "ROLE_MISSING")


def test_an_expired_token_is_a_problem(gateway: httpx.Client, realm: Realm, person: Person) -> None:
    expired = bearer(realm.short_lived_token(person))
    eventually(lambda: gateway.get("/v1/me", headers=expired).status_code == 401)
    refused(gateway.get("/v1/me", headers=expired), 401, "TOKEN_EXPIRED")


@pytest.mark.parametrize("last", ["a", "-1", "9" * 30])
def test_a_last_event_id_that_is_none_is_a_problem(
    last: str, gateway: httpx.Client, citizen_token: str
) -> None:
    answer = gateway.get(
        "/v1/inbox/stream", headers=bearer(citizen_token) | {"Last-Event-ID": last}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert len(answer.json()["errors"]) == 1


@pytest.fixture(scope="module")
def foreign() -> Iterator[FakeRealm]:
    """A realm whose tokens nobody here accepts."""
    opened = FakeRealm()
    yield opened
    opened.close()
