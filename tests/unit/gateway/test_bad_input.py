"""Whatever is sent, the answer is a problem that names what is at fault, and never a 500."""

import socket
from typing import Any

import httpx
import pytest
from administration.documents.v1 import documents_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.gateway.edge import Edge
from tests.unit.gateway.conftest import Services, problem_of

ID = "0190a1b2-0000-7000-8000-000000000001"
SHARES = f"/v1/documents/{ID}/shares"
JSON = {"Content-Type": "application/json"}


def post(client: httpx.Client, body: bytes, **headers: str) -> httpx.Response:
    return client.post(SHARES, content=body, headers=JSON | headers)


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        (b'{"purpos":"x"}', "purpos", "UNKNOWN_FIELD"),
        (b'{"purpose":7}', "purpose", "WRONG_TYPE"),
        (b'{"purpose":["x"]}', "purpose", "WRONG_TYPE"),
        (b'{"expireTime":"tomorrow"}', "expireTime", "WRONG_TYPE"),
        (b'{"expireTime":1234}', "expireTime", "WRONG_TYPE"),
        (b'{"expireTime":"9999999-01-01T00:00:00Z"}', "expireTime", "WRONG_TYPE"),
        (b'{"expireTime":{}}', "expireTime", "WRONG_TYPE"),
        (b'{"expireTime":"2027-01-01T00:00:00Z","expire_time":null}', None, None),
        (b'{"purpose":"a","purpose":"b"}', None, None),
        (b'{"document_id":"x"}', "document_id", "IN_PATH"),
    ],
)
def test_a_field_of_a_body_at_fault_is_named(
    services: Services, client: httpx.Client, body: bytes, field: str | None, reason: str | None
) -> None:
    if field is None:
        services.answers["ShareDocument"] = lambda *_: _share()
        assert post(client, body).status_code == 200
        return
    document = problem_of(post(client, body))
    assert document["status"] == 400
    assert [(item["field"], item["reason"]) for item in document["errors"]] == [(field, reason)]
    assert services.calls == []


def _share() -> Any:
    return documents_pb2.ShareDocumentResponse()


def test_all_fields_at_fault_are_told_at_once(services: Services, client: httpx.Client) -> None:
    document = problem_of(post(client, b'{"a":1,"purpose":2,"expireTime":3}'))
    assert [item["field"] for item in document["errors"]] == ["a", "purpose", "expireTime"]
    many = b"{" + b",".join(b'"f%d":1' % number for number in range(300)) + b"}"
    assert len(problem_of(post(client, many))["errors"]) == 20


def test_malformed_json_is_told_with_its_position(client: httpx.Client) -> None:
    for body in (b'{"purpose":\n "x",}', b"{", b'{"purpose":"\xff"}', b'{"purpose":"\\ud800"}'):
        document = problem_of(post(client, body))
        assert (document["status"], document["reason"]) == (400, "MALFORMED_JSON")
        assert "line" in document["detail"]
    assert "line 2, column" in problem_of(post(client, b'{"purpose":\n "x",}'))["detail"]


def test_a_body_that_is_no_object_is_refused(client: httpx.Client) -> None:
    for body in (b"[]", b"null", b"1", b'"x"'):
        assert problem_of(post(client, body))["reason"] == "WRONG_TYPE"


def test_a_deep_body_is_refused(client: httpx.Client) -> None:
    assert post(client, b'{"a":' * 600 + b"1" + b"}" * 600).status_code == 400
    assert post(client, b"[" * 2000 + b"]" * 2000).status_code == 400


def test_a_body_of_another_type_is_refused(client: httpx.Client) -> None:
    for headers in ({"Content-Type": "text/xml"}, {"Content-Type": "application/json;charset=l1"}):
        response = post(client, b"{}", **headers)
        assert problem_of(response)["status"] == 415
        assert response.headers["accept"] == "application/json"
    encoded = post(client, b"{}", **{"Content-Encoding": "gzip"})
    assert problem_of(encoded)["status"] == 415
    assert encoded.headers["accept-encoding"] == "identity"


def test_a_large_body_is_refused_announced_or_not(client: httpx.Client) -> None:
    body = b'{"purpose":"' + b"x" * 5000 + b'"}'
    assert problem_of(post(client, body))["status"] == 413
    chunked = client.post(SHARES, content=iter([body[:10], body[10:]]), headers=JSON)
    assert problem_of(chunked)["status"] == 413
    assert chunked.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("path", "field", "reason"),
    [
        ("/v1/documents?page_size=x", "pageSize", "WRONG_TYPE"),
        ("/v1/documents?page_size=1&pageSize=2", "pageSize", "GIVEN_TWICE"),
        ("/v1/documents?page_size=99999999999", "pageSize", "OUT_OF_RANGE"),
        ("/v1/documents?page_size=", "pageSize", "WRONG_TYPE"),
        ("/v1/documents?colour=red", "colour", "UNKNOWN_PARAMETER"),
        ("/v1/me?x=1", "x", "UNKNOWN_PARAMETER"),
        ("/v1/inbox/stream?after_sequence=-", "afterSequence", "WRONG_TYPE"),
        (f"{SHARES}?purpose=x", "purpose", "UNKNOWN_PARAMETER"),
    ],
)
def test_a_parameter_at_fault_is_named(
    services: Services, client: httpx.Client, path: str, field: str, reason: str
) -> None:
    response = client.post(path, json={}) if path.startswith(SHARES) else client.get(path)
    document = problem_of(response)
    assert document["status"] == 400
    assert [(item["field"], item["reason"]) for item in document["errors"]] == [(field, reason)]
    assert services.calls == []


def test_a_query_or_path_that_is_not_utf8_is_refused(client: httpx.Client) -> None:
    assert problem_of(client.get("/v1/documents?page_token=%ff"))["reason"] == "MALFORMED_QUERY"
    assert problem_of(client.get("/v1/documents/%ff"))["reason"] == "MALFORMED_PATH"


def test_unknown_paths_and_methods(client: httpx.Client) -> None:
    for path in ("/", "/v2/me", "/v1/me/", "/v1/documents/", "//v1/me", "/v1/documents/a/b/c"):
        assert problem_of(client.get(path))["status"] == 404, path
    response = client.delete("/v1/documents")
    assert problem_of(response)["status"] == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert problem_of(client.request("BREW", "/v1/me"))["reason"] in {
        "MALFORMED_HTTP",
        "METHOD_NOT_ALLOWED",
    }


def test_what_is_not_http_is_a_problem_too(edge: Edge) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=20) as connection:
        connection.sendall(b"NOT HTTP AT ALL\r\n\r\n")
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.binary(max_size=200), query=st.binary(max_size=40))
def test_no_bytes_make_it_fail(
    services: Services, client: httpx.Client, body: bytes, query: bytes
) -> None:
    services.answers["ShareDocument"] = lambda *_: _share()
    path = f"{SHARES}?{''.join(f'%{byte:02x}' for byte in query)}"
    assert client.post(path, content=body, headers=JSON).status_code in {200, 400}
